"""Corpora for verification and identification: their lists are read as written, and no test speaker is trained on."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from dataset.corpora import CorpusError
from dataset.corpora.cnceleb import CNCeleb
from dataset.corpora.csv_trials import CsvTrials
from dataset.corpora.voxceleb import VoxCeleb1Identification, VoxCeleb1Verification


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


def test_ones_own_csv_becomes_trials_of_speakers_that_are_held_out(tmp_path):
    rows = [{"path": f"{s}/{i}.wav", "who": f"s{s}"} for s in range(12) for i in range(4)]
    for row in rows:
        touch(tmp_path / row["path"])
    with open(tmp_path / "all.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, ["path", "who"])
        writer.writeheader()
        writer.writerows(rows)
    given = {"train": str(tmp_path / "all.csv"), "test_fraction": 0.25, "valid_fraction": 0.25, "num_trials": 20}
    splits = CsvTrials(**given, columns={"wav_path": "path", "spk": "who"}).load(tmp_path)
    speakers = {
        "train": {row["spk"] for row in splits.train},
        "valid": {f"s{row[key].partition('/')[0]}" for row in splits.valid for key in ("id1", "id2")},
        "test": {f"s{row[key].partition('/')[0]}" for row in splits.test["test"] for key in ("id1", "id2")},
    }
    assert {name: len(own) for name, own in speakers.items()} == {"train": 6, "valid": 3, "test": 3}
    assert len(set.union(*speakers.values())) == 12 and len(splits.valid) == len(splits.test["test"]) == 20
    with pytest.raises(CorpusError, match="no column 'spk'"):
        CsvTrials(**given, columns={"wav_path": "path"}).load(tmp_path)


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
