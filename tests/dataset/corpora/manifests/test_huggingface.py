"""Datasets that Hugging Face's library saved: their audio is written out byte for byte, their labels by name."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dataset.corpora import CorpusError
from dataset.corpora.manifests.huggingface import HuggingFace
from tests.parts.audio_files import tone

datasets = pytest.importorskip("datasets")


@pytest.fixture
def saved(tmp_path, write) -> Path:
    """A saved DatasetDict with train (3 rows, two files) and test (2 rows), and its audio outside, which is removed."""
    files = [write("audio/ä.wav"), write("audio/b.flac", tone(hz=600)), write("audio/c.ogg", tone(hz=700))]
    columns = {
        "audio": [{"bytes": None, "path": str(file)} for file in files],
        "sentence": ["größe", None, "NA"],
        "label": ["yes", "no", "yes"],
        "tags": [["a"], [], ["b", "ü"]],
        "n": [1, 2, None],
    }
    whole = datasets.Dataset.from_dict(columns).class_encode_column("label")
    whole = whole.cast_column("audio", datasets.Audio(decode=False))
    parts = datasets.DatasetDict({"train": whole, "test": whole.select([2, 0])})
    parts.save_to_disk(str(tmp_path / "saved"), num_shards={"train": 2, "test": 1})
    for number, file in enumerate(files):
        file.rename(tmp_path / f"original {number}{file.suffix}")
    return tmp_path / "saved"


def test_a_saved_dataset_is_read(saved, tmp_path):
    corpus = HuggingFace(str(saved / "train"), test=str(saved / "test"), valid_fraction=0)
    splits = corpus.load(tmp_path / "cache")
    assert len(list(saved.glob("train/*.arrow"))) == 2
    plain = [{name: text for name, text in row.items() if name != "wav_path"} for row in splits.train]
    assert plain == [
        {"id": "train-00000000", "transcription": "größe", "label": "yes", "tags": '["a"]', "n": "1"},
        {"id": "train-00000001", "transcription": "", "label": "no", "tags": "[]", "n": "2"},
        {"id": "train-00000002", "transcription": "NA", "label": "yes", "tags": '["b", "ü"]', "n": ""},
    ]
    originals = sorted(tmp_path.glob("original*"))
    for row, original in zip(splits.train, originals):
        assert Path(row["wav_path"]).read_bytes() == original.read_bytes()
        assert Path(row["wav_path"]).suffix == original.suffix
    first = splits.test["test"][0]
    assert first["id"] == "test-00000000" and Path(first["wav_path"]).read_bytes() == originals[2].read_bytes()
    folders = {Path(row["wav_path"]).parent for row in splits.train + splits.test["test"]}
    assert set(corpus.made_audio(tmp_path / "cache")) == folders and len(folders) == 3


def test_each_row_of_a_long_file_has_its_own_audio(tmp_path):
    """The library writes Arrow files in batches; here each sound is 10 samples of its number."""
    import pyarrow as pa

    sounds = []
    for number in range(250):
        buffer = io.BytesIO()
        soundfile.write(buffer, np.full(10, number, np.int16), 16000, format="WAV")
        sounds.append({"bytes": buffer.getvalue(), "path": None})
    whole = datasets.Dataset.from_dict({"audio": sounds, "n": list(range(250))})
    whole.cast_column("audio", datasets.Audio(decode=False)).save_to_disk(str(tmp_path / "long"))
    (arrow,) = (tmp_path / "long").glob("*.arrow")
    with pa.memory_map(str(arrow)) as source, pa.ipc.open_stream(source) as reader:
        assert len(list(reader)) > 1
    splits = HuggingFace(str(tmp_path / "long"), test_fraction=0.2).load(tmp_path / "cache")
    rows = splits.train + splits.valid + splits.test["test"]
    assert len(rows) == 250
    for row in rows:
        samples, _ = soundfile.read(row["wav_path"], dtype="int16")
        assert samples.tolist() == [int(row["n"])] * 10 and row["id"] == f"long-{int(row['n']):08d}"


def test_audio_outside_is_used_where_it_is(tmp_path, write, monkeypatch):
    import pyarrow as pa

    def lines(path: str) -> list:
        """The rows of a dataset as an older version of the library saved it, without the bytes."""
        columns = {"id": ["0012"], "clip": [{"bytes": None, "path": path}], "text": ["x"]}
        one = datasets.Dataset.from_dict(columns).cast_column("clip", datasets.Audio(decode=False))
        one.save_to_disk(str(tmp_path / "saved"))
        with pa.OSFile(str(tmp_path / "saved/data-00000-of-00001.arrow"), "wb") as sink:
            with pa.ipc.new_stream(sink, one.data.table.schema) as writer:
                writer.write_table(one.data.table)
        return HuggingFace("")._lines(str(tmp_path / "saved"))[1]

    wav = str(write("a.wav"))
    assert lines(wav) == [(0, {"id": "0012", "transcription": "x", "wav_path": wav})]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.wav").write_bytes(b"")
    with pytest.raises(CorpusError, match="saved, row 0: no audio bytes, and the path 'there.wav' is not absolute"):
        lines("there.wav")


def test_mistakes_are_named(saved, tmp_path):
    def error(path: Path) -> str:
        with pytest.raises(CorpusError) as caught:
            HuggingFace(str(path), test_fraction=0.3).load(tmp_path / "cache")
        return str(caught.value)

    assert f"holds the splits train, test: name one, such as {saved}/train" in error(saved)
    assert "a saved dataset: there is no folder" in error(tmp_path / "nowhere")
    assert "has no dataset_info.json" in error(tmp_path / "audio")
    (arrow,) = saved.glob("test/*.arrow")
    arrow.write_bytes(arrow.read_bytes()[:3000])
    assert f"{arrow} cannot be read as Arrow data" in error(saved / "test")
    info = saved / "test/dataset_info.json"
    content = json.loads(info.read_text())
    content["features"]["audio"]["_type"] = "Value"
    info.write_text(json.dumps(content))
    assert "has 0 columns of type Audio (none)" in error(saved / "test")


def test_another_content_is_seen(saved):
    corpus = HuggingFace(str(saved / "train"), test=str(saved / "test"))
    assert [path.name for path in corpus.sources()] == ["dataset_info.json", "state.json"] * 2
    before = (saved / "test/state.json").read_bytes()
    changed = datasets.load_from_disk(str(saved / "train")).select([0])
    changed.save_to_disk(str(saved / "other"))
    assert (saved / "other/state.json").read_bytes() != before
