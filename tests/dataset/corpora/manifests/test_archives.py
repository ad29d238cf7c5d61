"""Unpacked audio is whole or absent: after a kill, beside another process, and when files were lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dataset.corpora.manifests.archives import folder_of, unpacked
from tests.conftest import ROOT

SLOW = """
import sys, time
from pathlib import Path
from dataset.corpora.manifests.archives import unpacked
def unpack(archive, folder):
    for number in range(20):
        (folder / f"{number}.wav").write_bytes(b"x" * 1000)
        time.sleep(float(sys.argv[3]))
    with open(sys.argv[2] + "/count", "a") as file: file.write("unpacked ")
print(unpacked(Path(sys.argv[1]), Path(sys.argv[2]), unpack))
"""


def start(archive: Path, cache: Path, pause: float) -> subprocess.Popen:
    words = [sys.executable, "-c", SLOW, str(archive), str(cache), str(pause)]
    return subprocess.Popen(words, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE)


@pytest.fixture
def archive(tmp_path) -> Path:
    (tmp_path / "a.tar").write_bytes(b"an archive")
    (tmp_path / "cache").mkdir()
    return tmp_path / "a.tar"


def test_a_kill_leaves_nothing_and_the_next_call_all(archive, tmp_path):
    cache = tmp_path / "cache"
    process = start(archive, cache, 0.2)
    for _ in range(200):
        if list(cache.glob("unpacked/.*.tmp/3.wav")):
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert list(cache.glob("unpacked/.*.tmp/3.wav")) and not folder_of(archive, cache).exists()
    folder = unpacked(archive, cache, lambda _, target: (target / "0.wav").write_bytes(b"whole"))
    assert {path.name for path in folder.iterdir()} == {"0.wav", "sizes.json"}
    assert not list(cache.glob("unpacked/.*.tmp")), "what was left is removed"


def test_of_two_processes_one_unpacks(archive, tmp_path):
    both = [start(archive, tmp_path / "cache", 0.01) for _ in range(2)]
    outputs = {process.communicate(timeout=60)[0] for process in both}
    assert [process.returncode for process in both] == [0, 0] and len(outputs) == 1
    assert (tmp_path / "cache/count").read_text() == "unpacked "


@pytest.mark.parametrize("damage", ["lost", "short"])
def test_damaged_audio_is_unpacked_again(archive, tmp_path, damage, caplog):
    calls = []

    def unpack(_: Path, folder: Path) -> None:
        calls.append(folder)
        for name in ("0.wav", "1.wav"):
            (folder / name).write_bytes(b"audio")

    folder = unpacked(archive, tmp_path / "cache", unpack)
    assert unpacked(archive, tmp_path / "cache", unpack) == folder and len(calls) == 1
    (folder / "1.wav").unlink() if damage == "lost" else (folder / "1.wav").write_bytes(b"")
    assert unpacked(archive, tmp_path / "cache", unpack) == folder and len(calls) == 2
    assert (folder / "1.wav").read_bytes() == b"audio" and "is damaged; it is unpacked again" in caplog.text
    archive.write_bytes(b"another archive")
    assert unpacked(archive, tmp_path / "cache", unpack) != folder
