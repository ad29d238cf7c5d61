"""A shard is whole or absent, whatever is killed, damaged, full or in use elsewhere."""

from __future__ import annotations

import errno
import logging
import multiprocessing
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from dataset.storage.locks import locked
from problems.engine.features import shards
from problems.engine.features.shards import CannotCacheError, Shards
from tests.conftest import ROOT
from tests.parts.shards import LIMIT, entries, files, one_shard, same, states_of

FORK = multiprocessing.get_context("fork")  # starts in no time


def test_a_written_shard_is_read_by_another_process_and_as_plain_safetensors(tmp_path):
    folder = tmp_path / "features" / "with space ü"
    wrote = Shards(folder, [0, 1], LIMIT)
    wrote.write(entries("a", "b") | {"none": [torch.zeros(0, 8).half()] * 2})
    read = Shards(folder, [0, 1], LIMIT)
    assert read.open(["a", "b", "none", "c"]) == {"a", "b", "none"}
    for shard in (wrote, read):
        assert same(shard.get("a"), states_of("a")) and same(shard.get("b"), states_of("b"))
        assert [tuple(s.shape) for s in shard.get("none")] == [(0, 8)] * 2
        assert shard.get("c") is None
    assert read.bytes() == files(folder)[0].stat().st_size
    with safe_open(files(folder)[0], "pt") as file:
        assert torch.equal(file.get_tensor("a"), torch.stack(states_of("a")))


def test_a_shard_serves_if_it_has_all_layers_and_perhaps_more(tmp_path):
    Shards(tmp_path / "f", [0, 1, 2, 3], LIMIT).write(entries("a", layers=4))
    some = Shards(tmp_path / "f", [3, 1], LIMIT)
    assert some.open(["a"]) == {"a"}
    assert same(some.get("a"), [states_of("a", layers=4)[3], states_of("a", layers=4)[1]])
    assert Shards(tmp_path / "f", [1, 4], LIMIT).open(["a"]) == set()


def test_layers_may_differ_in_rate_and_size(tmp_path):
    mixed = [torch.randn(6, 4), torch.randn(3, 4), torch.randn(3, 2)]
    Shards(tmp_path / "f", [0, 1, 2], LIMIT).write({"a": mixed} | entries("b", layers=3))
    read = Shards(tmp_path / "f", [2, 0], LIMIT)
    read.open(["a"])
    assert same(read.get("a"), [mixed[2], mixed[0]])


def test_states_are_mapped_not_copied(tmp_path):
    def anonymous() -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("RssAnon")).split()[1])

    Shards(tmp_path / "f", [0], LIMIT).write(entries("a", layers=1, frames=40000, size=512))  # 41 MB
    read = Shards(tmp_path / "f", [0], LIMIT)
    read.open(["a"])
    before = anonymous()
    states = read.get("a")
    assert float(states[0].sum()) == float(states_of("a", layers=1, frames=40000, size=512)[0].sum())
    del states
    assert anonymous() - before < 20_000  # kB


@pytest.mark.parametrize("place", ["data", "header", "length", "tail"])
def test_a_changed_byte_is_detected_and_its_shard_deleted(tmp_path, caplog, place):
    Shards(tmp_path / "f", [0, 1], LIMIT).write(entries("a", "b"))
    (path,) = files(tmp_path / "f")
    content = bytearray(path.read_bytes())
    size = int.from_bytes(content[:8], "little")
    if place == "tail":
        content = content[:-3]  # cut short
    else:
        content[{"data": 8 + size + 3, "header": 8 + size // 2, "length": 1}[place]] ^= 4
    path.write_bytes(content)
    read = Shards(tmp_path / "f", [0, 1], LIMIT)
    with caplog.at_level(logging.WARNING):
        read.open(["a", "b"])
        got = {key: read.get(key) for key in ("a", "b")}
    assert f"{path} is damaged" in caplog.text
    assert not path.exists()
    if place == "data":  # the entry that does not hold it is still right in this process
        assert got["a"] is None and same(got["b"], states_of("b"))
        assert "checksum" in caplog.text
    else:
        assert got == {"a": None, "b": None}


def test_a_read_only_cache_is_read(tmp_path, monkeypatch, caplog):
    one_shard(tmp_path / "f", "a"), one_shard(tmp_path / "f", "b")
    plain, damaged = open, files(tmp_path / "f")[0]
    content = bytearray(damaged.read_bytes())
    content[9] ^= 1
    damaged.write_bytes(content)

    def read_only(path, mode="r", *more, **options):
        if set(mode) & set("wax+"):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return plain(path, mode, *more, **options)

    monkeypatch.setattr("builtins.open", read_only)
    monkeypatch.setattr(Path, "unlink", lambda path, **options: read_only(path, "w"))
    read = Shards(tmp_path / "f", [0, 1], LIMIT)
    (key,) = read.open(["a", "b"])
    assert same(read.get(key), states_of(key))
    assert f"{damaged} is damaged" in caplog.text and "cannot be deleted (Read-only file system)" in caplog.text
    with pytest.raises(CannotCacheError, match="Read-only"):
        read.write(entries("c"))


def test_a_change_of_any_byte_is_detected(tmp_path):
    Shards(tmp_path / "f", [0], LIMIT).write(entries("a", layers=1, frames=2, size=4))
    (path,) = files(tmp_path / "f")
    content = path.read_bytes()
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1 << random.Random(position).randrange(8)
        path.write_bytes(changed)
        read = Shards(tmp_path / "f", [0], LIMIT)
        read.open(["a"])
        got = read.get("a")
        # padding of the header is covered too, since the name is a digest of all of it
        assert got is None, f"byte {position} of {len(content)}"
        assert not path.exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_failed_write_leaves_no_file(tmp_path, monkeypatch, number):
    def refuse(handle):
        raise OSError(number, os.strerror(number))

    store = Shards(tmp_path / "f", [0, 1], LIMIT)
    store.write(entries("a"))
    monkeypatch.setattr(shards.os, "fsync", refuse)
    with pytest.raises(CannotCacheError, match="full" if number != errno.EROFS else "Read-only"):
        store.write(entries("b"))
    monkeypatch.undo()
    assert len(list((tmp_path / "f").iterdir())) == 1
    assert same(store.get("a"), states_of("a")) and store.get("b") is None


def test_a_write_that_the_kernel_refuses_halfway_leaves_no_file(tmp_path):
    """A limit on the size of files makes the kernel refuse, in the middle of a write."""
    code = """
import resource, signal, sys
from pathlib import Path
import torch
from problems.engine.features.shards import CannotCacheError, Shards
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
store = Shards(Path(sys.argv[1]), [0], 10**9)
store.write({"small": [torch.ones(2, 2)]})
try:
    store.write({"large": [torch.ones(100, 100)]})
except CannotCacheError as error:
    print("refused", sorted(p.suffix for p in Path(sys.argv[1]).iterdir()), store.get("small")[0].sum().item())
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "f"], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.split() == ["refused", "['.safetensors']", "4.0"], done.stderr


@pytest.mark.parametrize("most", [200, 40])
def test_more_shards_than_open_files_are_used_as_far_as_the_limit_goes(tmp_path, most):
    for number in range(60):
        one_shard(tmp_path / "f", f"k{number}")
    code = f"""
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_NOFILE, (40, {most}))
from problems.engine.features.shards import CannotCacheError, Shards
import torch
store = Shards(Path(sys.argv[1]), [0, 1], 10**9)
keys = store.open(f"k{{n}}" for n in range(60))
try:
    store.write({{"more": [torch.ones(2, 8)] * 2}})
except CannotCacheError as error:
    print("refused")
print(len(keys), len([key for key in keys if store.get(key) is not None]))
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "f"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    *refused, opened, read = done.stdout.split()
    assert opened == read
    count = len(files(tmp_path / "f"))
    if most == 200:
        assert (refused, int(opened), count) == ([], 60, 61)
    else:
        assert refused and 10 < int(opened) < 40 and count in (60, 61)  # 61: complete, but one file too many to open


def write_forever(folder: Path, name: str, ready) -> None:
    """Write shards without end; a reader knows what each entry holds."""
    torch.set_num_threads(1)
    store, number = Shards(folder, [0, 1], LIMIT), 0
    ready.set()
    while True:
        store.write(entries(*(f"{name}-{number}-{i}" for i in range(4)), frames=100, size=64))
        number += 1


def kill_writers(folder: Path, trials: int, seed: int) -> tuple[int, int]:
    """Kill two writers at random moments, and check every entry.

    Returns:
        The number of entries that are whole, and of temporary files that were left.
    """
    drawn, cut, before = random.Random(seed), 0, {}
    for trial in range(trials):
        events = [FORK.Event() for _ in range(2)]
        pair = [
            FORK.Process(target=write_forever, args=(folder, f"{seed}-{trial}-{n}", event))
            for n, event in enumerate(events)
        ]
        try:
            for process in pair:
                process.start()
            for event in events:
                assert event.wait(30)
            time.sleep(drawn.uniform(0, 0.15))
        finally:
            for process in pair:
                process.kill()
                process.join()
        cut += len(list(folder.glob(".*.tmp")))
        keys = [f"{seed}-{trial}-{n}-{number}-{i}" for n in range(2) for number in range(500) for i in range(4)]
        read = Shards(folder, [0, 1], LIMIT)
        opened = read.open([*before, *keys])
        assert opened >= set(before)
        for key in opened - before.keys():
            assert same(read.get(key), states_of(key, frames=100, size=64))
        before = dict.fromkeys(opened)
        assert not list(folder.glob(".*.tmp"))  # swept
        assert_unlocked(folder)
        del read
    return len(before), cut


def assert_unlocked(folder: Path) -> None:
    """Fail if the lock of the cache is still held."""
    with locked(folder.parent / ".lock", wait=False):
        pass


def test_killed_writers_leave_whole_shards(tmp_path):
    whole, _ = kill_writers(tmp_path / "f", 2, seed=1)
    assert whole > 0


@pytest.mark.slow
def test_killed_writers_leave_whole_shards_many_times(tmp_path):
    whole, cut = kill_writers(tmp_path / "f", 25, seed=2)
    assert whole > 0 and cut > 0  # some were in the middle of a file


def test_a_shard_that_is_being_written_is_not_swept(tmp_path, monkeypatch):
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / ".0000.tmp").write_bytes(b"left by a killed writer")
    during = []

    def sync(handle):
        """Sync for the first time: the file is written, and its writer has not renamed it yet."""
        if not during:
            Shards(tmp_path / "f", [0, 1], LIMIT).open(["a"])
            during.extend(path.name for path in (tmp_path / "f").glob(".*.tmp"))

    monkeypatch.setattr(shards.os, "fsync", sync)
    Shards(tmp_path / "f", [0, 1], LIMIT).write(entries("a"))
    assert len(during) == 1 and during != [".0000.tmp"]
    assert len(files(tmp_path / "f")) == 1
