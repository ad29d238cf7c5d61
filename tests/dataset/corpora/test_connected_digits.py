"""Strings of digits are joined recordings, written once: the same bytes after kills, damage and races."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dataset.corpora import CorpusError, Row
from dataset.corpora.connected_digits import ConnectedDigits
from dataset.corpora.fsdd import WORDS
from tests.conftest import ROOT
from tests.parts.fsdd import RATE, make_fsdd, real_fsdd


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return make_fsdd(tmp_path_factory.mktemp("fsdd"))


def digest(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def parse(row: Row) -> tuple[list[int], list[int], list[int]]:
    """The numbers of a string's recordings, their lengths, and the lengths of the gaps between them, in samples."""
    samples, rate = soundfile.read(row["wav_path"], dtype="int16")
    assert rate == RATE and soundfile.info(row["wav_path"]).subtype == "PCM_16"
    starts = np.flatnonzero(np.diff(samples, prepend=0))
    runs = [(int(samples[a]), int(b - a)) for a, b in zip(starts, [*starts[1:], len(samples)])]
    assert all(value == 0 for value, _ in runs[1::2])
    numbers, lengths = zip(*((value - 1, length) for value, length in runs[::2]))
    return list(numbers), list(lengths), [length for _, length in runs[1::2]]


def test_a_string_is_its_recordings_with_silence_between(root, tmp_path):
    corpus = ConnectedDigits(str(root), num_train=30, num_valid=5, num_test=20)
    splits = corpus.load(tmp_path)
    indices = {"train": {5, 6, 7}, "valid": {8}, "test": {0, 1, 2, 3, 4}}
    sizes = {"train": 30, "valid": 5, "test": 20}
    for name, rows in {"train": splits.train, "valid": splits.valid, **splits.test}.items():
        assert len(rows) == sizes[name] and len({row["id"] for row in rows}) == sizes[name]
        for row in rows:
            numbers, lengths, gaps = parse(row)
            assert 3 <= len(numbers) <= 7
            assert all(0.03 <= length / RATE <= 0.12 for length in gaps)
            assert {number % 10 for number in numbers} <= indices[name]
            assert {("ann", "bob")[number // 100] for number in numbers} == {row["speaker"]}
            digits = [number // 10 % 10 for number in numbers]
            assert lengths == [40 + digit for digit in digits]
            assert row["transcription"] == " ".join(WORDS[digit] for digit in digits)


def test_recordings_and_speakers_are_used_evenly(root, tmp_path):
    rows = ConnectedDigits(str(root), num_train=1, num_valid=1, num_test=200).load(tmp_path).test["test"]
    strings = [parse(row)[0] for row in rows]
    uses = Counter(number for numbers in strings for number in numbers)
    assert len(uses) == 100
    for speaker in (0, 1):
        counts = [count for number, count in uses.items() if number // 100 == speaker]
        assert max(counts) - min(counts) <= 1
    assert Counter(row["speaker"] for row in rows) == {"ann": 100, "bob": 100}
    assert {len(numbers) for numbers in strings} == {3, 4, 5, 6, 7}


def test_strings_are_found_again_and_repaired(root, tmp_path):
    corpus = ConnectedDigits(str(root), num_train=5, num_valid=2, num_test=2)
    first = corpus.load(tmp_path)
    bytes_before, written = digest(tmp_path), os.stat(first.train[0]["wav_path"]).st_mtime_ns
    assert corpus.load(tmp_path) == first
    assert os.stat(first.train[0]["wav_path"]).st_mtime_ns == written
    for damage in (os.unlink, lambda path: os.truncate(path, 50)):
        damage(first.train[3]["wav_path"])
        assert corpus.load(tmp_path) == first
        assert digest(tmp_path) == bytes_before


def test_the_folder_depends_on_settings_and_contents(root, tmp_path):
    small = {"num_train": 3, "num_valid": 1, "num_test": 1}
    first = ConnectedDigits(str(root), **small).load(tmp_path)
    other_seed = ConnectedDigits(str(root), seed=1, **small).load(tmp_path)
    other_speaker = ConnectedDigits(str(root), test_speaker="bob", **small).load(tmp_path)
    assert [row["transcription"] for row in first.train] != [row["transcription"] for row in other_seed.train]
    copy = tmp_path / "copy"
    (copy / "recordings").mkdir(parents=True)
    for path in (root / "recordings").glob("*.wav"):
        (copy / "recordings" / path.name).write_bytes(path.read_bytes())
    elsewhere = ConnectedDigits(str(copy), **small).load(tmp_path)
    assert elsewhere == first  # the same corpus in another place
    soundfile.write(copy / "recordings" / "3_ann_6.wav", np.full(43, 9999, np.int16), RATE)
    changed = ConnectedDigits(str(copy), **small).load(tmp_path)
    folders = {Path(s.train[0]["wav_path"]).parents[1] for s in (first, other_seed, other_speaker, elsewhere, changed)}
    assert len(folders) == 4


def test_a_kill_while_writing_leaves_nothing_partial(root, tmp_path):
    code = (
        "from dataset.corpora.connected_digits import *; "
        f"ConnectedDigits({str(root)!r}, num_train=2000, num_valid=1, num_test=1).load({str(tmp_path)!r})"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    deadline = time.monotonic() + 30
    while not list(tmp_path.glob("connected_digits/.*.tmp/train/*")) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert list(tmp_path.glob("connected_digits/.*.tmp"))
    corpus = ConnectedDigits(str(root), num_train=2000, num_valid=1, num_test=1)
    rows = corpus.load(tmp_path).train
    assert len(rows) == 2000 and all(os.path.getsize(row["wav_path"]) > 44 for row in rows)
    assert not list(tmp_path.glob("connected_digits/.*.tmp"))


def test_processes_at_once_get_the_same_strings(root, tmp_path):
    code = (
        "from dataset.corpora.connected_digits import *; "
        f"corpus = ConnectedDigits({str(root)!r}, num_train=300, num_valid=1, num_test=1); "
        f"print(corpus.load({str(tmp_path)!r}).train[-1])"
    )
    command = [sys.executable, "-c", code]
    processes = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    answers = {process.communicate()[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len(answers) == 1 and "train-00299" in answers.pop()


def test_recordings_of_other_formats_are_named(root, tmp_path):
    folder = tmp_path / "recordings"
    folder.mkdir()
    for index in range(8):
        soundfile.write(folder / f"1_ann_{index}.wav", np.ones(80, np.int16), RATE)
    soundfile.write(folder / "1_ann_0.wav", np.ones(80, np.int16), 16000)
    corpus = ConnectedDigits(str(tmp_path), num_train=5, num_valid=2, num_test=5)
    with pytest.raises(CorpusError, match=r"16000 Hz.*8000 Hz|8000 Hz.*16000 Hz"):
        corpus.load(tmp_path)
    (folder / "1_ann_0.wav").write_bytes(b"RIFF")
    with pytest.raises(CorpusError, match=r"1_ann_0\.wav cannot be read as audio"):
        corpus.load(tmp_path)
    soundfile.write(folder / "1_ann_0.wav", np.ones((80, 2), np.int16), RATE)
    with pytest.raises(CorpusError, match=r"1_ann_0\.wav: expected one channel"):
        corpus.load(tmp_path)
    assert not [path for path in (tmp_path / "connected_digits").iterdir() if path.suffix != ".lock"]


def test_real_speech_gives_the_same_bytes_in_two_caches(tmp_path):
    corpus = ConnectedDigits(real_fsdd(), num_train=60, num_valid=10, num_test=20)
    splits = [corpus.load(tmp_path / name) for name in ("one", "two")]
    assert digest(tmp_path / "one") == digest(tmp_path / "two")
    assert len(digest(tmp_path / "one")) == 91
    texts = [[row["transcription"] for row in s.train] for s in splits]
    assert texts[0] == texts[1]
