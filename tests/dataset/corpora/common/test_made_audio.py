"""Audio that a corpus makes is written once, is whole or absent, and is written again if a file of it is damaged."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import soundfile

from dataset.corpora.common.made_audio import make_once, write_wav


def writer(calls: list[str]):
    def write(target):
        calls.append("written")
        (target / "sub ü").mkdir()
        (target / "sub ü" / "a.wav").write_bytes(b"12345")
        (target / "b.wav").write_bytes(b"123")

    return write


def test_it_is_written_once(tmp_path):
    calls: list[str] = []
    for _ in range(2):
        make_once(tmp_path / "made" / "key", writer(calls))
    assert calls == ["written"] and (tmp_path / "made/key/sub ü/a.wav").read_bytes() == b"12345"


@pytest.mark.parametrize("damage", ["b.wav", "sub ü/a.wav", "sizes.json"])
@pytest.mark.parametrize("content", [None, b"1"])
def test_a_file_that_is_gone_or_cut_is_written_again(tmp_path, damage, content):
    calls: list[str] = []
    make_once(tmp_path / "key", writer(calls))
    (tmp_path / "key" / damage).unlink()
    if content is not None:
        (tmp_path / "key" / damage).write_bytes(content)
    make_once(tmp_path / "key", writer(calls))
    assert len(calls) == 2 and (tmp_path / "key" / "b.wav").read_bytes() == b"123"


def test_a_writer_that_fails_leaves_nothing(tmp_path):
    def fail(target):
        (target / "b.wav").write_bytes(b"123")
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        make_once(tmp_path / "key", fail)
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == []
    make_once(tmp_path / "key", writer([]))


def test_of_two_at_once_one_writes(tmp_path):
    calls: list[str] = []
    threads = [threading.Thread(target=make_once, args=(tmp_path / "key", writer(calls))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == ["written"]


def test_a_waveform_is_written_as_soundfile_writes_it(tmp_path):
    wav = np.random.default_rng(0).uniform(-1, 1, 1000)
    size = write_wav(tmp_path / "ours ü.wav", wav, 16000)
    soundfile.write(tmp_path / "its.wav", wav, 16000, subtype="PCM_16")
    assert (tmp_path / "ours ü.wav").read_bytes() == (tmp_path / "its.wav").read_bytes()
    assert size == 44 + 2 * 1000


def test_a_full_disk_is_named(tmp_path):
    (tmp_path / "a.wav").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        write_wav(tmp_path / "a.wav", np.zeros(1000), 16000)
