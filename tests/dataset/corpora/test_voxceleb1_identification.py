"""VoxCeleb1 for identification has the published splits."""

from __future__ import annotations

from pathlib import Path

import pytest

from dataset.corpora import CorpusError
from dataset.corpora.voxceleb1_identification import VoxCeleb1Identification
from tests.parts.voxceleb import make_voxceleb1


@pytest.fixture
def vox(tmp_path):
    return make_voxceleb1(tmp_path / "vox celeb")


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


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(CorpusError, match="there is no folder .*wav.*check dataset_root"):
        VoxCeleb1Identification(dataset_root=str(tmp_path / "none")).load(tmp_path)


def test_only_loading_downloads(tmp_path, monkeypatch):
    folders = []

    def fail(folder, **options):
        folders.append(folder)
        raise OSError("no route to host")

    monkeypatch.setattr("torchaudio.datasets.VoxCeleb1Identification", fail)
    corpus = VoxCeleb1Identification(dataset_root=str(tmp_path / "vox"), download=True)
    corpus.sources()
    assert not folders
    with pytest.raises(CorpusError, match="the download into .* failed: no route"):
        corpus.load(tmp_path)
    assert folders
