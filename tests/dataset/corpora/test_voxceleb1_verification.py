"""VoxCeleb1 for verification reads the lists of trials and trains on none of their speakers."""

from __future__ import annotations

from pathlib import Path

import pytest

from dataset.corpora import CorpusError
from dataset.corpora.voxceleb1_verification import VoxCeleb1Verification
from tests.parts.corpora import touch
from tests.parts.voxceleb import make_voxceleb1


@pytest.fixture
def vox(tmp_path):
    return make_voxceleb1(tmp_path / "vox celeb")


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
    with pytest.raises(CorpusError, match="expected trials of O, E and H, got 'X'"):
        VoxCeleb1Verification(dataset_root=str(vox), trials=["X"]).load(tmp_path)


def test_trials_of_the_whole_corpus_need_other_speakers_to_train_on(vox, tmp_path):
    names = [f"id{10001 + n}/_-xYz/00001.wav" for n in range(20)]
    (vox / "list_test_all2.txt").write_text("\n".join(f"0 {a} {b}" for a, b in zip(names, names[1:])))
    settings = {"dataset_root": str(vox), "trials": ["O", "E"], "valid_speakers": 2, "valid_trials": 4}
    with pytest.raises(CorpusError, match="0 speakers remain.*set train_root"):
        VoxCeleb1Verification(**settings).load(tmp_path)
    for speaker in ("id00012", "id00015", "id00016", "id00018", "id10003"):
        for n in (1, 2):
            touch(tmp_path / "vox2" / speaker / "video" / f"{n:05}.wav")
    splits = VoxCeleb1Verification(**settings, train_root=str(tmp_path / "vox2")).load(tmp_path)
    assert list(splits.test) == ["vox1_o", "vox1_e"] and len(splits.test["vox1_e"]) == 19
    assert len({row["spk"] for row in splits.train}) == 2 and "id10003" not in {row["spk"] for row in splits.train}


def test_a_line_that_is_not_a_trial_is_named(vox, tmp_path):
    (vox / "veri_test.txt").write_text("1 id10017/_-xYz/00001.wav\n")
    with pytest.raises(CorpusError, match="veri_test.txt, line 1: expected 3 words"):
        VoxCeleb1Verification(dataset_root=str(vox), valid_speakers=4).load(tmp_path)


def test_only_loading_downloads(tmp_path, monkeypatch):
    folders = []

    def fail(folder, **options):
        folders.append(folder)
        raise OSError("no route to host")

    monkeypatch.setattr("torchaudio.datasets.VoxCeleb1Identification", fail)
    corpus = VoxCeleb1Verification(dataset_root=str(tmp_path / "vox"), download=True)
    corpus.sources()
    assert not folders
    with pytest.raises(CorpusError, match="the download into .* failed: no route"):
        corpus.load(tmp_path)
    assert folders
