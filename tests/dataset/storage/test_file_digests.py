"""Content digests: each file read once, recognised after a move, never after a change."""

from __future__ import annotations

import hashlib
import logging
import os
import threading

import pytest

from dataset.storage import file_digests
from dataset.storage.file_digests import content_digests


@pytest.fixture
def reads(monkeypatch):
    """The names of the files that were read."""
    seen, plain = [], file_digests._digest
    monkeypatch.setattr(file_digests, "_digest", lambda name: seen.append(name) or plain(name))
    return seen


def test_it_is_the_digest_of_the_content(tmp_path, reads):
    paths = [tmp_path / "ä b.wav", tmp_path / "c.wav"]
    paths[0].write_bytes(b"x" * 3_000_000), paths[1].write_bytes(b"")
    digests = content_digests([*paths, tmp_path / "missing.wav", paths[0]], tmp_path / "cache")
    assert digests == {str(p): hashlib.blake2b(p.read_bytes(), digest_size=16).hexdigest() for p in paths}
    assert content_digests(paths, tmp_path / "cache") == digests
    assert sorted(reads) == sorted(map(str, paths))  # once each


def test_a_change_that_keeps_size_and_time_is_seen(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(b"one")
    before = content_digests([path], tmp_path)
    stat = os.stat(path)
    path.write_bytes(b"two")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert content_digests([path], tmp_path) != before


def test_a_moved_file_is_the_same(tmp_path):
    path, moved = tmp_path / "a.wav", tmp_path / "b.wav"
    path.write_bytes(b"one")
    (before,) = content_digests([path], tmp_path).values()
    path.rename(moved)
    assert content_digests([moved], tmp_path) == {str(moved): before}


def test_a_file_that_changes_while_it_is_read_is_not_remembered(tmp_path, monkeypatch):
    path, plain = tmp_path / "a.wav", file_digests._digest
    path.write_bytes(b"one")

    def slow(name):
        digest = plain(name)
        path.write_bytes(b"longer")
        return digest

    monkeypatch.setattr(file_digests, "_digest", slow)
    assert content_digests([path], tmp_path) == {}


def test_a_damaged_cache_costs_only_time(tmp_path, caplog, reads):
    path = tmp_path / "a.wav"
    path.write_bytes(b"one")
    (tmp_path / "content.sqlite").write_bytes(b"not a database, and longer than a header of one is" * 40)
    with caplog.at_level(logging.WARNING):
        first = content_digests([path], tmp_path)
    assert "content.sqlite is damaged" in caplog.text
    assert content_digests([path], tmp_path) == first and len(reads) == 1


def test_many_at_once(tmp_path):
    paths = [tmp_path / f"{n}.wav" for n in range(30)]
    for path in paths:
        path.write_bytes(path.name.encode())
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(content_digests(paths, tmp_path / "cache"))) for _ in range(4)
    ]
    [t.start() for t in threads], [t.join() for t in threads]
    assert all(f == results[0] and len(f) == 30 for f in results) and len(results) == 4
