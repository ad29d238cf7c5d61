"""Tar files of WebDataset: samples become rows, audio is unpacked as it is, and damaged files are named."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from dataset.corpora import CorpusError
from dataset.corpora.manifests.webdataset import WebDataset, shards


def tar(path: Path, mode: str = "w", **members: bytes) -> str:
    """A tar file of members, in order; ``__`` in their names stands for a dot."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as file:
        for name, content in members.items():
            entry = tarfile.TarInfo(name.replace("__", "."))
            entry.size = len(content)
            file.addfile(entry, io.BytesIO(content))
    return str(path)


def load(train: str, cache: Path, **settings) -> dict[str, dict[str, str]]:
    splits = WebDataset(train, test_fraction=0.3, valid_fraction=0, **settings).load(cache)
    return {row["id"]: row for row in splits.train + splits.test["test"]}


def test_what_webdataset_wrote_is_read(tmp_path, write):
    webdataset = pytest.importorskip("webdataset")
    wav, flac = write("a.wav").read_bytes(), write("b.flac").read_bytes()
    with webdataset.ShardWriter(str(tmp_path / "train-%03d.tar"), maxcount=1, verbose=0) as writer:
        writer.write({"__key__": "x/ä", "wav": wav, "txt": "größe", "cls": 3, "json": {"speaker": "s", "n": [1]}})
        writer.write({"__key__": "y", "flac": flac, "json": {"text": "hi"}})
    rows = load(str(tmp_path / "train-{000..001}.tar"), tmp_path / "cache")
    paths = {name: Path(row.pop("wav_path")) for name, row in rows.items()}
    assert rows == {
        "x/ä": {"id": "x/ä", "transcription": "größe", "label": "3", "speaker": "s", "n": "[1]"},
        "y": {"id": "y", "transcription": "hi", "label": "", "speaker": "", "n": ""},
    }
    assert (paths["x/ä"].read_bytes(), paths["y"].read_bytes()) == (wav, flac)
    assert paths["y"].suffix == ".flac" and tmp_path / "cache" in paths["y"].parents


def test_gzipped_tars_and_folders_and_names_of_sets(tmp_path, write):
    wav = write().read_bytes()
    tar(tmp_path / "test set/b.tgz", "w:gz", b__wav=wav, b__txt=b"two")
    tar(tmp_path / "test set/a.tar", a__wav=wav, a__txt=b"one", a__npy=b"\xff\x00")
    train = tar(tmp_path / "shard-000.tar", c__wav=wav, c__txt=b"three")
    corpus = WebDataset(train, test={"all": str(tmp_path / "test set")}, valid_fraction=0)
    splits = corpus.load(tmp_path / "cache")
    assert [(row["id"], row["transcription"]) for row in splits.test["all"]] == [("a", "one"), ("b", "two")]
    assert [path.name for path in corpus.sources()] == ["shard-000.tar", "a.tar", "b.tgz"]
    assert corpus._name_of("d/test-{00..12}.tar") == "test"
    assert [path.name for path in shards(tmp_path / "s-{08..10}.tar")] == ["s-08.tar", "s-09.tar", "s-10.tar"]


def test_keys_that_begin_anew_in_each_file_and_set(tmp_path, write):
    names = {"train-0.tar": "a.wav", "train-1.tar": "b.wav", "test.tar": "c.wav"}
    for name, audio in names.items():
        tar(tmp_path / name, **{"0000__wav": write(audio).read_bytes()})
    corpus = WebDataset(f"{tmp_path}/train-{{0..1}}.tar", test=f"{tmp_path}/test.tar", valid_fraction=0)
    splits = corpus.load(tmp_path / "cache")
    assert [row["id"] for row in splits.train + splits.test["test"]] == ["train-0/0000", "train-1/0000", "0000"]
    corpus.test = f"{tmp_path}/train-1.tar"
    with pytest.raises(CorpusError, match="the utterance '0000' is in train and in train-1"):
        corpus.load(tmp_path / "cache")


def test_a_member_cannot_leave_the_cache(tmp_path, write):
    train = tar(tmp_path / "a.tar", **{"../../evil__wav": write().read_bytes(), "/abs__wav": write().read_bytes()})
    assert all(tmp_path / "cache" in Path(row["wav_path"]).parents for row in load(train, tmp_path / "cache").values())
    assert not list(tmp_path.parent.glob("evil*"))


@pytest.mark.parametrize(
    "members, message",
    [
        ({"a__txt": b"x"}, "a.tar: the sample 'a' has 0 audio members in a.txt; expected one"),
        ({"a__wav": b"", "a__flac": b""}, "the sample 'a' has 2 audio members in a.wav, a.flac"),
        ({"a__wav": b"", "a__json": b"{"}, "a.tar, a.json: not a JSON object"),
        ({"a__wav": b"", "a__txt": b"\xff"}, "a.tar, a.txt: not UTF-8"),
        ({"a__wav": b"", "b__wav": b"", "./a__flac": b"", "a__mp3": b""}, "sample 4: sample 1 has the same id 'a'"),
        ({}, "a.tar lists no utterance"),
    ],
)
def test_mistakes_are_named(tmp_path, members, message):
    with pytest.raises(CorpusError, match=message):
        load(tar(tmp_path / "a.tar", **members), tmp_path / "cache")


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_truncated_tar_is_named(tmp_path, write, mode):
    wav = write().read_bytes()
    path = Path(tar(tmp_path / "a.tar.gz", mode, a__wav=wav, b__wav=wav))
    path.write_bytes(path.read_bytes()[: -12000 if mode == "w" else -100])
    with pytest.raises(CorpusError, match="a.tar.gz is not a whole tar file"):
        load(str(path), tmp_path / "cache")
    with pytest.raises(CorpusError, match="there is no file .*none.tar"):
        load(str(tmp_path / "none.tar"), tmp_path / "cache")


@pytest.mark.skipif(not shutil.which("tar"), reason="there is no program tar")
def test_a_tar_of_the_program_tar_is_read(tmp_path, write):
    write("d/a.wav")
    (tmp_path / "d/a.json").write_text(json.dumps({"label": "x"}))
    write("d/b.wav")
    subprocess.run(["tar", "-cf", "t.tar", "--sort=name", "d"], cwd=tmp_path, check=True)
    rows = load(str(tmp_path / "t.tar"), tmp_path / "cache")
    assert {name: row["label"] for name, row in rows.items()} == {"d/a": "x", "d/b": ""}
