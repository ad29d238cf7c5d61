"""A file or folder is the old one or the new one, whatever happens in between."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from dataset.storage.files import (
    free_name,
    read_json,
    remove_folder,
    replacing,
    restore_replaced,
    sha256,
    sweep,
    write_bytes,
    write_folder,
    write_json,
    write_text,
)
from tests.conftest import ROOT


def test_text_replaces_and_makes_folders(tmp_path):
    path = tmp_path / "new/größer.txt"
    write_text(path, "eins\n")
    write_text(path, "zwei ü\n")
    assert path.read_text("utf-8") == "zwei ü\n" and os.listdir(path.parent) == [path.name]


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_text(path, "half")
    assert read_json(path) == {"a": 1} and os.listdir(tmp_path) == ["a.json"]


def test_a_block_that_raises_leaves_the_old_file(tmp_path):
    path = tmp_path / "scores.txt"
    write_bytes(path, b"old")
    with pytest.raises(KeyError), replacing(path, "w", encoding="utf-8") as file:
        file.write("half")
        file.flush()
        raise KeyError
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["scores.txt"]


def test_writers_at_once_leave_one_of_their_files(tmp_path):
    contents = [bytes([number]) * 100_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: write_bytes(tmp_path / "a", content), contents))
    assert (tmp_path / "a").read_bytes() in contents and os.listdir(tmp_path) == ["a"]


def test_json_is_json(tmp_path):
    write_json(tmp_path / "a.json", {"nan": float("nan"), "deep": [float("inf"), (1, 2.5)], "text": "ü", "none": None})
    text = (tmp_path / "a.json").read_text("utf-8")
    assert json.loads(text, parse_constant=lambda name: pytest.fail(name)) == {
        "nan": None,
        "deep": [None, [1, 2.5]],
        "text": "ü",
        "none": None,
    }
    assert "ü" in text


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_sha256(tmp_path, size):
    content = os.urandom(size)
    (tmp_path / "f").write_bytes(content)
    assert sha256(tmp_path / "f") == hashlib.sha256(content).hexdigest()


def test_free_names_count_up_for_files_and_folders(tmp_path):
    assert free_name(tmp_path / "train").name == "train.1"
    (tmp_path / "train.1").mkdir()
    (tmp_path / "train.2").write_text("")
    assert free_name(tmp_path / "train").name == "train.3"


def test_a_folder_appears_whole(tmp_path):
    seen = []

    def fill(folder):
        (folder / "sub").mkdir()
        (folder / "sub/a").write_text("1")
        seen.append((tmp_path / "step").exists())

    write_folder(tmp_path / "step", fill)
    assert seen == [False] and (tmp_path / "step/sub/a").read_text() == "1" and os.listdir(tmp_path) == ["step"]


def test_a_folder_that_fails_leaves_the_old_one(tmp_path):
    write_folder(tmp_path / "step", lambda folder: (folder / "a").write_text("old") and None)

    def fail(folder):
        (folder / "a").write_text("new")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError):
        write_folder(tmp_path / "step", fail)
    assert (tmp_path / "step/a").read_text() == "old" and os.listdir(tmp_path) == ["step"]
    write_folder(tmp_path / "step", lambda folder: (folder / "b").write_text("new") and None)
    assert os.listdir(tmp_path / "step") == ["b"] and os.listdir(tmp_path) == ["step"]


KILLED = """
import os, signal, sys
from pathlib import Path
from dataset.storage import files
rename, count = os.rename, [0]
def renamed(a, b):
    if count[0] == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    count[0] += 1
    rename(a, b)
os.rename = renamed
files.write_folder(Path(sys.argv[1]) / "step_1", lambda folder: (folder / "a").write_text("new") and None)
"""


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_killed_between_any_two_renames_a_whole_folder_is_found(tmp_path, renames):
    write_folder(tmp_path / "step_1", lambda folder: (folder / "a").write_text("old") and None)
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), str(renames)], cwd=ROOT)
    assert done.returncode == -9
    restore_replaced(tmp_path)
    sweep(tmp_path)
    assert (tmp_path / "step_1/a").read_text() == ("new" if renames == 2 else "old")
    assert os.listdir(tmp_path) == ["step_1"]


def test_after_a_kill_the_next_write_works(tmp_path):
    write_folder(tmp_path / "step_1", lambda folder: (folder / "a").write_text("old") and None)
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), "2"], cwd=ROOT)  # leaves step_1.old beside step_1
    write_folder(tmp_path / "step_1", lambda folder: (folder / "a").write_text("newest") and None)
    assert (tmp_path / "step_1/a").read_text() == "newest" and os.listdir(tmp_path) == ["step_1"]


def test_removing_and_sweeping(tmp_path):
    (tmp_path / "step/sub").mkdir(parents=True)
    (tmp_path / ".step.99.tmp").mkdir()
    (tmp_path / ".file.99.tmp").write_text("")
    (tmp_path / "kept.txt").write_text("")
    remove_folder(tmp_path / "step")
    sweep(tmp_path)
    assert os.listdir(tmp_path) == ["kept.txt"]


def test_sweeping_one_name_leaves_the_writers_of_others_alone(tmp_path):
    for name in (".toy.99.tmp", ".toys.99.tmp"):
        (tmp_path / name).mkdir()
    sweep(tmp_path, "toy")
    assert os.listdir(tmp_path) == [".toys.99.tmp"]
