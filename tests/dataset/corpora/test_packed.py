"""The corpus that ``pack`` has written, beside its shards or with them elsewhere."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from dataset import audio
from dataset.corpora import CorpusError
from dataset.corpora.packed import Packed
from dataset.metadata import write_csv
from dataset.packing.pack import pack
from tests.parts.audio_files import tone


@pytest.fixture
def packed(write, tmp_path):
    """A folder with three packed sets; the validation is a list of trials."""
    paths = [str(write(f"{i}.wav", tone(hz=200 + 100 * i))) for i in range(4)]
    rows = [{"id": f"u{i}", "wav_path": path, "seconds": 0.5, "spk": "null"} for i, path in enumerate(paths)]
    write_csv(tmp_path / "train.csv", rows)
    write_csv(tmp_path / "b test.csv", rows[:1])
    sides = {"id1": "a ; b", "wav_path1": f"{paths[0]} ; {paths[1]}", "id2": "c", "wav_path2": paths[2]}
    write_csv(tmp_path / "valid.csv", [{**sides, "label": 1}])
    pack([tmp_path / f"{name}.csv" for name in ("train", "valid", "b test")], tmp_path / "out")
    return tmp_path / "out"


def test_rows_and_trials_with_their_columns(packed, tmp_path):
    corpus = Packed(str(packed))
    splits = corpus.load(tmp_path)
    assert [row["id"] for row in splits.train] == ["u0", "u1", "u2", "u3"] and splits.train[0]["spk"] == "null"
    assert [*splits.test] == ["b test"]
    for i, place in enumerate(splits.valid[0]["wav_path1"].split(" ; ")):
        assert torch.equal(audio.read(place), audio.read(tmp_path / f"{i}.wav"))
    assert [path.name for path in corpus.sources()] == ["pack.json", "train.csv", "valid.csv", "b test.csv"]


def test_shards_elsewhere(packed, tmp_path, monkeypatch):
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    for shard in packed.glob("*.tar"):
        shutil.move(shard, elsewhere)
    monkeypatch.chdir(tmp_path)
    for folder in ("else where", f"file://{elsewhere}"):
        row = Packed(str(packed), shards=folder).load(tmp_path).train[3]
        assert torch.equal(audio.read(row["wav_path"]), audio.read(tmp_path / "3.wav"))
    splits = Packed(str(packed), shards="s3://bucket/x").load(tmp_path)
    assert splits.train[0]["wav_path"].startswith("s3://bucket/x/train-000000.tar#offset=512&size=")
    assert all(place.startswith("s3://bucket/x/valid") for place in splits.valid[0]["wav_path1"].split(" ; "))


def test_a_folder_that_is_not_packed_is_refused(packed, tmp_path):
    with pytest.raises(CorpusError, match=r"has no pack\.json; expected a folder that the command pack wrote"):
        Packed(str(tmp_path)).sources()
    names = json.loads((packed / "pack.json").read_text())
    (packed / "pack.json").write_text(json.dumps({**names, "complete": False}))
    with pytest.raises(CorpusError, match="not finished; run the same `pack` command again"):
        Packed(str(packed)).load(tmp_path)
    (packed / "pack.json").write_text("{")
    with pytest.raises(CorpusError, match=r"pack\.json is damaged"):
        Packed(str(packed)).load(tmp_path)
