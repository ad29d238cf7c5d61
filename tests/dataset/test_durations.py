"""Lengths of files: from the headers once, then from a cache; every bad file is named."""

from __future__ import annotations

import multiprocessing

import pytest

from dataset import durations as module
from dataset.durations import durations
from tests.parts.audio_files import bad_files, tone


def test_durations_collects_every_bad_file(write, tmp_path):
    bad = {str(path) for path, _ in bad_files(write, tmp_path).values()}
    good = [str(write(f"{i}.wav", tone(0.1 * i))) for i in range(1, 5)]
    seconds, errors = durations([*good, *bad, *good], tmp_path / "cache", num_workers=2)
    assert seconds == {path: pytest.approx(0.1 * i) for i, path in enumerate(good, start=1)}
    assert set(errors) == bad
    assert all(path in str(error) for path, error in errors.items())


def test_durations_come_from_the_cache_until_the_file_changes(write, tmp_path, monkeypatch):
    paths = [write(f"{i}.wav") for i in range(3)]
    durations(paths, tmp_path / "cache")
    read = []
    header = module.info
    monkeypatch.setattr(module, "info", lambda path: read.append(path) or header(path))
    monkeypatch.chdir(tmp_path)
    assert durations(["0.wav"], tmp_path / "cache") == ({"0.wav": 0.5}, {})
    assert not read  # a relative name is the same file
    write("1.wav", tone(0.75))
    seconds, errors = durations(paths, tmp_path / "cache")
    assert list(seconds.values()) == [0.5, 0.75, 0.5] and not errors
    assert read == [str(paths[1])]
    paths[2].unlink()
    assert list(durations(paths, tmp_path / "cache")[1]) == [str(paths[2])]


def test_two_processes_share_a_cache(write, tmp_path):
    paths = [str(write(f"{i}.wav", tone(0.01))) for i in range(50)]
    context = multiprocessing.get_context("fork")
    with context.Pool(3) as pool:
        answers = pool.starmap(durations, [(paths, tmp_path / "cache", 2)] * 6)
    assert all(len(seconds) == 50 and not errors for seconds, errors in answers)
    assert not list((tmp_path / "cache").glob("*.corrupt"))
