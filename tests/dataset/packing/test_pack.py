"""Packing: the same bytes after any kill, nothing packed silently that cannot be read, and shards that others open."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from dataset import audio
from dataset.corpora.packed import Packed
from dataset.metadata import read_csv, write_csv
from dataset.packing.pack import LIST, PackingError, pack, read_list
from dataset.packing.shards import BadAudioError
from dataset.places import remote
from dataset.places.audio_error import AudioError
from dataset.places.names import part_of
from dataset.utterances import Utterances
from tests.conftest import ROOT
from tests.parts.audio_files import NOISE, tone
from tests.parts.python import Python

PACK = """
import sys
from pathlib import Path
from dataset.packing.pack import pack
pack(sys.argv[2:], Path(sys.argv[1]), shard_bytes=60_000, num_workers=2)
"""


@pytest.fixture
def csvs(write, tmp_path):
    """Two sets of files and segments, with odd ids, at two rates, and an empty one."""
    samples = np.random.default_rng(1).normal(0, 0.1, (40, 8000))
    rows = [
        {
            "id": f"größe/{i}.x",
            "wav_path": str(write(f"audio/{i}.{('wav', 'flac', 'ogg', 'mp3')[i % 4]}", samples[i], 8000 * (1 + i % 2))),
            "seconds": 1 / (1 + i % 2),
            "label": f'a, "{i}"',
        }
        for i in range(40)
    ]
    write("audio/long.wav", np.stack([NOISE, -NOISE / 2], axis=1), 8000)
    cut = [
        {"id": f"cut{i}", "wav_path": "audio/long.wav", "seconds": 1, "start_sec": i, "end_sec": i + 1}
        for i in range(5)
    ]
    write_csv(tmp_path / "train.csv", rows + cut)
    write_csv(tmp_path / "my test.csv", cut[:2] + rows[:1])
    (tmp_path / "valid.csv").write_text("id,wav_path,seconds\n")
    return [tmp_path / "train.csv", tmp_path / "valid.csv", tmp_path / "my test.csv"]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".tar", ".csv", ".json")}


def test_the_packed_csvs_give_the_items_of_their_sources(csvs, tmp_path):
    seen = []
    summary = pack(csvs, tmp_path / "out", shard_bytes=60_000, num_workers=3, progress=lambda *n: seen.append(n))
    assert summary.utterances == 48 and summary.shards > 5 and summary.complete == 0
    assert seen == [(i, 48) for i in range(49)]
    for csv in csvs:
        packed = tmp_path / "out" / csv.name
        before, after = (read_csv(path, (), may_be_empty=True) for path in (csv, packed))
        columns = [name for name in before.columns if name not in ("wav_path", "start_sec", "end_sec")]
        assert after[columns].equals(before[columns]) and "start_sec" not in after
        for one, other in zip(Utterances(csv), Utterances(packed)) if len(before) else ():
            assert one["id"] == other["id"] and torch.equal(one["wav"], other["wav"])
    os.rename(tmp_path / "out", tmp_path / "moved")
    assert len(Utterances(tmp_path / "moved" / "train.csv")[44]["wav"]) == 16000, "the folder may be moved"


def test_packing_again_writes_nothing_that_is_complete(csvs, tmp_path):
    out = tmp_path / "out"
    first = pack(csvs, out, shard_bytes=60_000)
    before, times = contents(out), {path.name: path.stat().st_ino for path in out.glob("*.tar")}
    assert pack(csvs, out, shard_bytes=60_000) == first._replace(complete=first.shards)
    assert contents(out) == before and {path.name: path.stat().st_ino for path in out.glob("*.tar")} == times
    os.truncate(out / "train-000001.tar", 5000)
    (out / "train-000002.index.json").write_text('{"inputs": 3')
    os.utime(tmp_path / "audio" / "0.wav", (1, 1))  # in both sets
    assert pack(csvs, out, shard_bytes=60_000).complete == first.shards - 4
    again = contents(out)
    assert {name: again[name] for name in times} == {name: before[name] for name in times}


def test_another_size_or_corpus_leaves_nothing_of_the_former(csvs, tmp_path):
    pack(csvs, tmp_path / "out", shard_bytes=60_000)
    pack(csvs[:2], tmp_path / "out", shard_bytes=10**9)
    pack(csvs[:2], tmp_path / "fresh", shard_bytes=10**9)
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")
    assert not (tmp_path / "out" / "my test.arrow").exists()


def test_files_of_others_are_not_replaced(csvs, tmp_path):
    before = csvs[0].read_bytes()
    with pytest.raises(PackingError, match=r"holds my test\.csv.*--out DIR"):
        pack(csvs, tmp_path)
    assert csvs[0].read_bytes() == before and not list(tmp_path.glob("*.tar"))


@pytest.mark.parametrize("workers", [1, 4])
def test_everything_that_cannot_be_read_is_listed_and_the_rest_is_packed(csvs, tmp_path, workers):
    for name, content in (("0.wav", b"no audio"), ("13.flac", None), ("30.ogg", b"")):
        path = tmp_path / "audio" / name
        path.write_bytes(path.read_bytes()[:-3000] if content is None else content)
    with pytest.raises(BadAudioError) as caught:
        pack(csvs, tmp_path / "out", shard_bytes=60_000, num_workers=workers)
    assert [message.split(":")[0] for message in caught.value.messages] == [
        "train größe/0.x",
        "train größe/13.x",
        "train größe/30.x",
        "my test größe/0.x",
    ]
    assert all("audio/" in message for message in caught.value.messages)
    assert not read_list(tmp_path / "out")["complete"] and not (tmp_path / "out" / "train.csv").exists()
    assert not list((tmp_path / "out").glob(".*.tmp"))
    left = [path.name for path in (tmp_path / "out").glob("*.tar")]
    assert "train-000000.tar" not in left and len(left) > 3


def test_trials_refer_to_utterances_that_are_packed_once(write, tmp_path):
    paths = [write(f"{i}.wav", tone(hz=200 + 100 * i)) for i in range(4)]
    trial = {"id1": "a ; b", "wav_path1": f"{paths[0]} ; 1.wav", "id2": "c", "wav_path2": "2.wav", "label": 1}
    write_csv(tmp_path / "valid.csv", [trial])
    write_csv(tmp_path / "test.csv", [trial, {**trial, "id2": "d", "wav_path2": paths[3], "label": 0}])
    pack([tmp_path / "valid.csv", tmp_path / "test.csv"], tmp_path / "out")
    from dataset.trial_tables import read_trials, utterance_table

    _, places = read_trials(tmp_path / "out" / "test.csv")
    assert [Path(part_of(places[id]).file).name for id in "abcd"] == ["valid-000000.tar"] * 3 + ["test-000000.tar"]
    csv = tmp_path / "out" / "test.csv"
    items = Utterances(csv, table=utterance_table(places, tmp_path / "cache"))
    originals = Utterances(csv, table=utterance_table(dict(zip("abcd", map(str, paths))), tmp_path / "cache"))
    assert all(torch.equal(one["wav"], other["wav"]) for one, other in zip(items, originals))


def test_a_list_whose_utterances_are_all_packed_before_has_no_shard(write, tmp_path):
    trial = {"id1": "a", "wav_path1": str(write("a.wav")), "id2": "b", "wav_path2": str(write("b.wav")), "label": 1}
    for name in ("valid", "test"):
        write_csv(tmp_path / f"{name}.csv", [trial])
    assert pack([tmp_path / "valid.csv", tmp_path / "test.csv"], tmp_path / "out")[:2] == (2, 1)
    assert (tmp_path / "out" / "test.csv").read_text() == (tmp_path / "out" / "valid.csv").read_text()


def test_a_webdataset_reader_opens_them(csvs, tmp_path):
    webdataset = pytest.importorskip("webdataset")
    import io

    import soundfile

    pack(csvs, tmp_path / "out", shard_bytes=60_000)
    shards = sorted(map(str, (tmp_path / "out").glob("train-*.tar")))
    samples = list(webdataset.WebDataset(shards, shardshuffle=False, empty_check=False))
    data = Utterances(csvs[0])
    assert len(samples) == len(data)
    for sample, item, label in zip(samples, data, data.column("label")):
        columns = json.loads(sample["json"])
        assert columns["id"] == item["id"] and columns["label"] == label
        (audio,) = (sample[suffix] for suffix in ("wav", "flac", "ogg", "mp3") if suffix in sample)
        assert soundfile.info(io.BytesIO(audio)).duration == pytest.approx(len(item["wav"]) / 16000, abs=1e-3)


def test_a_tar_holds_nothing_of_the_machine(csvs, tmp_path):
    pack(csvs, tmp_path / "out")
    with tarfile.open(tmp_path / "out" / "train-000000.tar") as tar:
        members = tar.getmembers()
        assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members} == {(0, 0, 0, "", "", 0o644)}
        place = part_of(read_csv(tmp_path / "out" / "train.csv", ())["wav_path"][3])
        assert (members[6].offset_data, members[6].size) == (place.offset, place.size)
    assert str(tmp_path).encode() not in (tmp_path / "out" / "train-000000.tar").read_bytes()


def test_kills_at_any_instant_change_no_byte(csvs, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert Python(["-c", PACK, whole, *csvs]).wait(60) == 0
    rng, kills, leftovers = random.Random(0), 0, 0
    while kills < 8:
        process = Python(["-c", PACK, killed, *csvs])
        while not list(killed.glob(".*.tmp")) and process.poll() is None:
            pass
        time.sleep(rng.uniform(0, 0.02))
        process.kill()
        if process.wait(30) == 0:  # it ended before the kill: begin again
            assert contents(killed) == contents(whole)
            shutil.rmtree(killed)
            continue
        kills += 1
        leftovers += len(list(killed.glob(".*.tmp")))
        for path in killed.glob("*.tar"):  # whatever has its name is whole
            assert path.read_bytes() == (whole / path.name).read_bytes()
    assert leftovers
    assert Python(["-c", PACK, killed, *csvs]).wait(60) == 0
    assert contents(killed) == contents(whole)
    assert not list(killed.glob(".*.tmp"))


def test_a_disk_that_takes_no_more_is_told_and_nothing_half_written_stays(csvs, tmp_path):
    limit = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
    limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))\n"
    command = [sys.executable, "-c", limit + PACK, tmp_path / "out", *csvs]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and "File too large" in done.stderr
    assert not list((tmp_path / "out").glob(".*.tmp")) and not read_list(tmp_path / "out")["complete"]
    pack(csvs, tmp_path / "out", shard_bytes=60_000)
    assert json.loads((tmp_path / "out" / LIST).read_text())["complete"]


class TestUrl:
    """Shards at a URL: those of a folder, byte by byte, which are read from there."""

    @pytest.fixture
    def url(self, monkeypatch, tmp_path):
        fsspec = pytest.importorskip("fsspec")
        monkeypatch.setattr(remote, "WAITS_SEC", (0.01, 0.01))
        self.files = fsspec.filesystem("memory")
        yield f"memory://{tmp_path.name}/"
        self.files.rm(f"/{tmp_path.name}", recursive=True)

    def test_they_are_those_of_a_folder_and_are_read_from_there(self, csvs, tmp_path, url):
        here, there = tmp_path / "here", tmp_path / "there"
        summaries = [pack(csvs, here, shard_bytes=60_000), pack(csvs, there, shard_bytes=60_000, url=url)]
        assert summaries[0] == summaries[1]
        shards = {path.name: path.read_bytes() for path in here.glob("*.tar")}
        stored = {Path(path).name: self.files.cat_file(path) for path in self.files.ls(url, detail=False)}
        assert stored == shards and not list(there.glob("*.tar"))
        others = {name: content for name, content in contents(here).items() if not name.endswith(".tar")}
        assert contents(there) == others
        rows = Packed(str(there), shards=url.rstrip("/")).load(tmp_path).train
        assert rows[0]["wav_path"].startswith("memory://")
        local = Packed(str(here)).load(tmp_path).train
        assert all(torch.equal(audio.read(a["wav_path"]), audio.read(b["wav_path"])) for a, b in zip(rows, local))

    def test_a_second_call_writes_what_is_missing_or_cut_there(self, csvs, tmp_path, url):
        first = pack(csvs, tmp_path / "out", shard_bytes=60_000, url=url)
        stored = {path: self.files.cat_file(path) for path in self.files.ls(url, detail=False)}
        lost, cut, *_ = stored
        self.files.rm(lost)
        self.files.pipe_file(cut, stored[cut][:1000])
        again = pack(csvs, tmp_path / "out", shard_bytes=60_000, url=url)
        assert again.complete == first.shards - 2
        assert {path: self.files.cat_file(path) for path in self.files.ls(url, detail=False)} == stored

    @pytest.mark.parametrize("failures", [2, 3])
    def test_a_connection_that_fails_is_tried_three_times(self, csvs, tmp_path, url, failures, monkeypatch):
        left, put = [None] * failures, type(self.files).put_file

        def failing(file_system, *arguments, **more):
            if left:
                left.pop()
                raise ConnectionError("reset")
            return put(file_system, *arguments, **more)

        monkeypatch.setattr(type(self.files), "put_file", failing)
        if failures == 2:
            assert pack(csvs, tmp_path / "out", url=url).complete == 0
            return
        with pytest.raises(AudioError, match=r"tar: cannot be written \(reset\).*at the last of 3 attempts"):
            pack(csvs, tmp_path / "out", url=url)
        assert not read_list(tmp_path / "out")["complete"]
        pack(csvs, tmp_path / "out", url=url)
        assert read_list(tmp_path / "out")["complete"]
