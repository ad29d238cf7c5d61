"""Corpora for verification and identification: their lists are read as written, and no test speaker is trained on."""

from __future__ import annotations

from pathlib import Path

import pytest

from dataset.corpora import CorpusError
from dataset.corpora.cnceleb import CNCeleb
from dataset.corpora.csv_trials import CsvTrials
from dataset.corpora.voxceleb import VoxCeleb1Identification, VoxCeleb1Verification
from tests.conftest import write_table


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")


@pytest.fixture
def vox(tmp_path):
    """20 speakers with two videos of two utterances; the last four are the test speakers, in an archive apart."""
    root = tmp_path / "vox celeb"
    lines = []
    for number in range(20):
        for video in ("1zcIwhmdeo4", "_-xYz"):
            for n in (1, 2):
                name = f"id{10001 + number}/{video}/{n:05}.wav"
                touch(root / ("dev" if number < 16 else "test") / "wav" / name)
                lines.append(f"{(1 if n == 1 else 2) if video[0] == '1' else 3} {name}")
    (root / "iden_split.txt").write_text("\n".join(lines))
    trials = [
        "1 id10017/1zcIwhmdeo4/00001.wav id10017/_-xYz/00002.wav",
        "0 id10017/1zcIwhmdeo4/00001.wav id10020/_-xYz/00001.wav",
    ]
    (root / "veri_test.txt").write_text("\n".join(trials) + "\n\n")
    return root


def test_identification_has_the_published_split(vox, tmp_path):
    corpus = VoxCeleb1Identification(dataset_root=str(vox))
    splits = corpus.load(tmp_path)
    assert [len(splits.train), len(splits.valid), len(splits.test["test"])] == [20, 20, 40]
    assert {row["label"] for row in splits.test["test"]} == {f"id{10001 + n}" for n in range(20)}
    row = splits.train[-1]
    assert row["id"] == "id10020/1zcIwhmdeo4/00001" and Path(row["wav_path"]).is_file()
    assert corpus.sources() == [vox / "iden_split.txt"]
    (vox / "dev/wav/id10003/_-xYz/00002.wav").unlink()
    with pytest.raises(CorpusError, match="iden_split.txt, line 12.*id10003/_-xYz/00002.wav"):
        corpus.load(tmp_path)


def test_verification_trains_on_no_speaker_of_its_trials(vox, tmp_path):
    splits = VoxCeleb1Verification(dataset_root=str(vox), valid_speakers=4, valid_trials=20).load(tmp_path)
    (test,) = splits.test.values()
    assert list(splits.test) == ["vox1_o"] and [row["label"] for row in test] == ["1", "0"]
    assert test[0]["id1"] == test[1]["id1"] == "id10017/1zcIwhmdeo4/00001" and Path(test[0]["wav_path2"]).is_file()
    trained = {row["spk"] for row in splits.train}
    held_out = {row[key].partition("/")[0] for row in splits.valid for key in ("id1", "id2")}
    assert len(trained) == 14 and len(held_out) == 4
    assert not trained & held_out and not (trained | held_out) & {"id10017", "id10020"}
    assert len(splits.train) == 14 * 4 and len(splits.valid) == 20


def test_the_cleaned_list_is_preferred_and_unknown_trials_are_refused(vox, tmp_path):
    (vox / "veri_test2.txt").write_text((vox / "veri_test.txt").read_text().splitlines()[0])
    corpus = VoxCeleb1Verification(dataset_root=str(vox), valid_speakers=4)
    assert len(corpus.load(tmp_path).test["vox1_o"]) == 1 and vox / "veri_test2.txt" in corpus.sources()
    with pytest.raises(CorpusError, match="list_test_hard2.txt"):
        VoxCeleb1Verification(dataset_root=str(vox), trials=["H"]).load(tmp_path)
    with pytest.raises(CorpusError, match="O, E and H, got 'X'"):
        VoxCeleb1Verification(dataset_root=str(vox), trials=["X"]).load(tmp_path)


def test_trials_of_the_whole_corpus_need_other_speakers_to_train_on(vox, tmp_path):
    names = [f"id{10001 + n}/_-xYz/00001.wav" for n in range(20)]
    (vox / "list_test_all2.txt").write_text("\n".join(f"0 {a} {b}" for a, b in zip(names, names[1:])))
    given = {"dataset_root": str(vox), "trials": ["O", "E"], "valid_speakers": 2, "valid_trials": 4}
    with pytest.raises(CorpusError, match="0 speakers are left.*set train_root"):
        VoxCeleb1Verification(**given).load(tmp_path)
    for speaker in ("id00012", "id00015", "id00016", "id00018", "id10003"):
        for n in (1, 2):
            touch(tmp_path / "vox2" / speaker / "video" / f"{n:05}.wav")
    splits = VoxCeleb1Verification(**given, train_root=str(tmp_path / "vox2")).load(tmp_path)
    assert list(splits.test) == ["vox1_o", "vox1_e"] and len(splits.test["vox1_e"]) == 19
    assert len({row["spk"] for row in splits.train}) == 2 and "id10003" not in {row["spk"] for row in splits.train}


def test_a_line_that_is_no_trial_is_named(vox, tmp_path):
    (vox / "veri_test.txt").write_text("1 id10017/_-xYz/00001.wav\n")
    with pytest.raises(CorpusError, match="veri_test.txt, line 1: expected 3 words"):
        VoxCeleb1Verification(dataset_root=str(vox), valid_speakers=4).load(tmp_path)
    with pytest.raises(CorpusError, match="there is no folder .*wav.*look at dataset_root"):
        VoxCeleb1Identification(dataset_root=str(tmp_path / "none")).load(tmp_path)


def test_cn_celeb(tmp_path):
    root = tmp_path / "CN-Celeb_flac"
    for number in range(12):
        for name in ("speech-01-001", "singing-02-001"):
            touch(root / "data" / f"id{number:05}" / f"{name}.flac")
    (root / "dev").mkdir()
    (root / "dev/dev.lst").write_text("\n".join(f"id{number:05}" for number in range(10)))
    for name in ("enroll/id00800-enroll.flac", "test/id00800-singing-01-002.flac", "test/id00801-vlog-01-001.flac"):
        touch(root / "eval" / name)
    (root / "eval/lists").mkdir()
    (root / "eval/lists/enroll.lst").write_text("id00800-enroll enroll/id00800-enroll.wav\n")
    trials = ["id00800-enroll test/id00800-singing-01-002.wav 1", "id00800-enroll test/id00801-vlog-01-001.wav 0"]
    (root / "eval/lists/trials.lst").write_text("\n".join(trials))
    corpus = CNCeleb(dataset_root=str(root), valid_speakers=3, valid_trials=6)
    splits = corpus.load(tmp_path)
    assert len(splits.train) == 14 and splits.train[0]["genre"] in ("speech", "singing")
    assert {"id00010", "id00011"}.isdisjoint({row["spk"] for row in splits.train}), "only those of dev.lst"
    test = splits.test["cnceleb"]
    assert [row["label"] for row in test] == ["1", "0"] and test[0]["wav_path1"].endswith("id00800-enroll.flac")
    assert len(splits.valid) == 6
    (root / "eval/test/id00801-vlog-01-001.flac").unlink()
    with pytest.raises(CorpusError, match="trials.lst, line 2.*id00801-vlog"):
        corpus.load(tmp_path)


@pytest.fixture
def own(tmp_path):
    """``all.csv`` of 12 speakers with four utterances, and what makes trials of it."""
    rows = [{"path": f"{s}/{i}.wav", "who": f"s{s}", "room": str(i)} for s in range(12) for i in range(4)]
    write_table(tmp_path / "all.csv", rows)
    given = {"train": str(tmp_path / "all.csv"), "test_fraction": 0.25, "valid_fraction": 0.25, "num_trials": 20}
    return given | {"columns": {"wav_path": "path", "spk": "who"}}


def test_ones_own_csv_becomes_trials_of_speakers_that_are_held_out(own, tmp_path):
    splits = CsvTrials(**own).load(tmp_path)
    speakers = {
        "train": {row["spk"] for row in splits.train},
        "valid": {f"s{row[key].partition('/')[0]}" for row in splits.valid for key in ("id1", "id2")},
        "test": {f"s{row[key].partition('/')[0]}" for row in splits.test["test"] for key in ("id1", "id2")},
    }
    assert {name: len(found) for name, found in speakers.items()} == {"train": 6, "valid": 3, "test": 3}
    assert len(set.union(*speakers.values())) == 12 and len(splits.valid) == len(splits.test["test"]) == 20
    with pytest.raises(CorpusError, match="no column 'spk'.*set columns"):
        CsvTrials(**own | {"columns": {"wav_path": "path"}}).load(tmp_path)


def test_no_speaker_is_trained_on_and_tested_whatever_the_split_is_by(own, tmp_path):
    with pytest.raises(CorpusError, match=r"the speaker 's\d+' is in train and in valid"):
        CsvTrials(**own, split_by="room").load(tmp_path)


PAIR = {"id1": "a ; b", "id2": "c", "wav_path1": "a.wav ; x/b.wav", "wav_path2": "c.wav", "label": "1"}


def test_segments_are_trained_on_and_refused_in_trials(own, tmp_path):
    lines = (tmp_path / "all.csv").read_text().splitlines()
    (tmp_path / "cut.csv").write_text("\n".join([f"{lines[0]},end_sec", *(f"{line},0.5" for line in lines[1:])]))
    cut = own | {"train": str(tmp_path / "cut.csv")}
    with pytest.raises(CorpusError, match="the test set of .*cut.csv: '.*' is a segment of .*cut the segments"):
        CsvTrials(**cut).load(tmp_path)
    other = {"id1": "x", "id2": "y", "wav_path1": "x.wav", "wav_path2": "y.wav", "label": "0"}
    valid, test = write_table(tmp_path / "valid.csv", [PAIR]), write_table(tmp_path / "test.csv", [other])
    splits = CsvTrials(**cut | {"valid": str(valid), "test": str(test), "test_fraction": 0.0}).load(tmp_path)
    assert len(splits.train) == 48 and splits.train[0]["end_sec"] == "0.5"


def test_a_list_of_trials_of_ones_own_stays_as_it_is(own, tmp_path):
    far = PAIR | {"note": "far"}
    near = {"id1": "d;e", "id2": "f", "wav_path1": "d ; e.wav", "wav_path2": "f.wav", "label": "0", "note": "near"}
    there = tmp_path / "ü lists"
    there.mkdir()
    given = own | {"test_fraction": 0.0, "test": [str(write_table(there / "far.csv", [far]))]}
    splits = CsvTrials(**given).load(tmp_path)
    paths = {"wav_path1": f"{there}/a.wav ; {there}/x/b.wav", "wav_path2": f"{there}/c.wav"}
    assert splits.test == {"far": [far | paths]} and len(splits.valid) == 20 and len(splits.train) == 36
    given |= {"valid": str(write_table(there / "valid.csv", [far, near]))}
    splits = CsvTrials(**given, where={"valid": {"note": "near"}}).load(tmp_path)
    assert [row["wav_path1"] for row in splits.valid] == [f"{there}/d ; e.wav"] and len(splits.train) == 48
    with pytest.raises(CorpusError, match="the file .*a.wav' is in valid and in far"):
        CsvTrials(**given).load(tmp_path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (PAIR | {"wav_path2": "0/1.wav"}, "the file .*0/1.wav' is in train and in pairs"),
        (PAIR | {"wav_path1": "a.wav"}, "pairs.csv, line 2: the enrolment 'a ; b' has 2 ids and 1 paths"),
        (PAIR | {"label": ""}, "pairs.csv, line 2: the column 'label' is empty"),
        ({"id1": "a", "id2": "b", "label": "1"}, "pairs.csv, line 2: the column 'wav_path1' is not there"),
    ],
)
def test_what_is_wrong_with_a_list_of_trials_is_named(own, tmp_path, row, message):
    test = write_table(tmp_path / "pairs.csv", [row])
    with pytest.raises(CorpusError, match=message):
        CsvTrials(**own | {"test_fraction": 0.0, "test": str(test)}).load(tmp_path)


def test_only_loading_downloads(tmp_path, monkeypatch):
    asked = []

    def offline(scratch: Path) -> Path:
        asked.append(scratch)
        raise OSError("no route to host")

    monkeypatch.setattr("dataset.corpora.voxceleb._get", offline)
    given = {"dataset_root": str(tmp_path / "vox"), "download": True}
    for corpus in (VoxCeleb1Identification(**given), VoxCeleb1Verification(**given)):
        corpus.sources()
        assert not asked
        with pytest.raises(CorpusError, match="the download into .* failed: no route"):
            corpus.load(tmp_path)
        asked.clear()
