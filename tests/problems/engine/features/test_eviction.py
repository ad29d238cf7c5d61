"""The least recently used shards are evicted, never those in use, under a limit and on a full disk."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
import sys
import time

import pytest

from problems.engine.features import shards
from problems.engine.features.eviction import make_room
from problems.engine.features.shards import CannotCacheError, Shards
from tests.conftest import ROOT
from tests.parts.shards import LIMIT, entries, files, one_shard, same, states_of


def test_the_least_recently_used_are_evicted_from_every_folder(tmp_path):
    paths = [one_shard(tmp_path / name, key) for name, key in (("f", "a"), ("g", "b"), ("f", "c"))]
    for age, path in zip((300, 200, 100), paths):
        os.utime(path, (time.time() - age,) * 2)
    size = paths[0].stat().st_size
    reader = Shards(tmp_path / "f", [0, 1], LIMIT)
    reader.open(["a"])  # used again, and held
    store = Shards(tmp_path / "f", [0, 1], 3 * size)
    store.write(entries("d"))
    assert [path.exists() for path in paths] == [True, False, True]
    assert same(store.get("d"), states_of("d"))


def test_on_a_full_disk_unused_shards_are_evicted(tmp_path, monkeypatch):
    paths = [one_shard(tmp_path / "f", key) for key in "ab"]
    for age, path in zip((200, 100), paths):
        os.utime(path, (time.time() - age,) * 2)
    disk = sum(path.stat().st_size for path in paths) + 50

    def usage(path):
        free = disk - sum(p.stat().st_size for p in tmp_path.glob("*/*"))
        return shutil._ntuple_diskusage(disk, disk - free, free)

    monkeypatch.setattr(shards.shutil, "disk_usage", usage)
    store = Shards(tmp_path / "f", [0, 1], LIMIT)
    store.write(entries("c"))
    assert [path.exists() for path in paths] == [False, True] and same(store.get("c"), states_of("c"))
    store.write(entries("d"))
    with pytest.raises(CannotCacheError, match="the disk is full"):
        store.write(entries("e"))
    assert store.get("c") and store.get("d") and len(list((tmp_path / "f").iterdir())) == 2


def test_locks_work_under_the_rules_of_nfs(tmp_path, monkeypatch):
    plain = fcntl.flock

    def nfs(file, operation):
        mode = fcntl.fcntl(file, fcntl.F_GETFL) & os.O_ACCMODE
        if mode == (os.O_RDONLY if operation & fcntl.LOCK_EX else os.O_WRONLY):
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        plain(file, operation)

    monkeypatch.setattr(shards.fcntl, "flock", nfs)
    path = one_shard(tmp_path / "f", "a")
    store = Shards(tmp_path / "f", [0, 1], path.stat().st_size + 10)
    store.write(entries("b"))
    assert not path.exists() and same(store.get("b"), states_of("b"))


def test_a_disk_without_locks_is_not_used(tmp_path, monkeypatch):
    Shards(tmp_path / "f", [0, 1], LIMIT).write(entries("a"))

    def none(file, operation):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(shards.fcntl, "flock", none)
    monkeypatch.setattr(shards.fcntl, "lockf", none)
    store = Shards(tmp_path / "f", [0, 1], LIMIT)
    assert store.open(["a"]) == set() and store.room() >= 0
    with pytest.raises(CannotCacheError, match="not implemented"):
        store.write(entries("b"))


def test_a_shard_that_another_process_reads_is_not_evicted(tmp_path):
    path = one_shard(tmp_path / "f", "a")
    code = f"""
import sys
from pathlib import Path
from problems.engine.features.shards import Shards
store = Shards(Path({str(tmp_path / "f")!r}), [0, 1], 10**9)
print(store.open(["a"]), flush=True)
sys.stdin.read()
"""
    other = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        assert other.stdout.readline() == "{'a'}\n"
        small = Shards(tmp_path / "g", [0, 1], path.stat().st_size + 10)
        assert small.room() == 10
        with pytest.raises(CannotCacheError, match="features.limit_gb"):
            small.write(entries("b"))
        assert path.exists() and not files(tmp_path / "g")
    finally:
        other.kill()
        other.wait()
        other.stdin.close(), other.stdout.close()
    assert small.room() == path.stat().st_size + 10
    small.write(entries("b"))  # the holder has ended, by a kill
    assert not path.exists() and same(small.get("b"), states_of("b"))


def test_a_shard_that_is_deleted_while_open_stays_readable(tmp_path):
    path = one_shard(tmp_path / "f", "a")
    reader = Shards(tmp_path / "f", [0, 1], LIMIT)
    reader.open(["a"])
    path.unlink()
    assert same(reader.get("a"), states_of("a"))


@pytest.mark.parametrize(("spare", "kept"), [(0, [True, True]), (-1, [False, True])])
def test_a_limit_that_just_suffices_evicts_nothing(tmp_path, spare, kept):
    paths = [one_shard(tmp_path / "f", key) for key in "ab"]
    for age, path in zip((200, 100), paths):
        os.utime(path, (time.time() - age,) * 2)
    size = paths[0].stat().st_size
    make_room(tmp_path, 3 * size + spare, size)
    assert [path.exists() for path in paths] == kept
