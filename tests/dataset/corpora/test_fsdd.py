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

from dataset.corpora import CorpusError, Splits
from dataset.corpora.fsdd import FSDD, WORDS, ConnectedDigits

ROOT = Path(__file__).resolve().parents[3]
RATE = 8000


def real_fsdd() -> str:
    folder = Path(os.environ.get("SOUNDSTAGE_DATA", ROOT.parent / "shared" / "data")) / "fsdd"
    if not folder.is_dir():
        pytest.skip(f"real speech is not in {folder} (set SOUNDSTAGE_DATA)")
    return str(folder)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """2 speakers x 10 digits x indices 0-8; each recording is a constant that tells which one it is."""
    root = tmp_path_factory.mktemp("fsdd")
    (root / "recordings").mkdir()
    for speaker_number, speaker in enumerate(["ann", "bob"]):
        for digit in range(10):
            for index in range(9):
                value = 1 + index + 10 * digit + 100 * speaker_number
                path = root / "recordings" / f"{digit}_{speaker}_{index}.wav"
                soundfile.write(path, np.full(40 + digit, value, np.int16), RATE, subtype="PCM_16")
    (root / "recordings" / "acquire_data.py").write_text("not audio")
    return root


def digest(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def texts(splits: Splits) -> list[str]:
    return [row["transcription"] for row in splits.train]


class TestFSDD:
    def test_split_by_index(self, root, tmp_path):
        splits = FSDD(str(root), valid_fraction=0.5).load(tmp_path)
        by_index = {
            name: {int(row["id"].rpartition("_")[2]) for row in rows}
            for name, rows in {"train": splits.train, "valid": splits.valid, **splits.test}.items()
        }
        assert by_index == {"train": {5, 6}, "valid": {7, 8}, "test": {0, 1, 2, 3, 4}}
        assert (len(splits.train), len(splits.valid), len(splits.test["test"])) == (40, 40, 100)
        assert splits.train[0] == {
            "id": "0_ann_5",
            "wav_path": str(root / "recordings" / "0_ann_5.wav"),
            "transcription": "zero",
            "label": "0",
            "speaker": "ann",
        }

    def test_validation_has_one_of_each_at_least(self, root, tmp_path):
        splits = FSDD(str(root), valid_fraction=0.01).load(tmp_path)
        assert Counter((row["speaker"], row["label"]) for row in splits.valid) == Counter(
            (speaker, str(digit)) for speaker in ("ann", "bob") for digit in range(10)
        )

    def test_split_by_speaker(self, root, tmp_path):
        splits = FSDD(str(root), test_speaker="bob").load(tmp_path)
        assert {row["speaker"] for row in splits.test["test"]} == {"bob"} and len(splits.test["test"]) == 90
        assert {row["speaker"] for row in splits.train + splits.valid} == {"ann"}
        assert len(splits.train + splits.valid) == 90

    def test_unknown_speaker(self, root, tmp_path):
        with pytest.raises(CorpusError, match="test_speaker 'bobby' is not in FSDD; the speakers are ann, bob"):
            FSDD(str(root), test_speaker="bobby").load(tmp_path)

    def test_what_is_not_there_or_not_named_so(self, tmp_path):
        with pytest.raises(CorpusError, match="there is no folder .*recordings"):
            FSDD(str(tmp_path)).load(tmp_path)
        recordings = tmp_path / "recordings"
        recordings.mkdir()
        with pytest.raises(CorpusError, match="holds no .wav and no .flac"):
            FSDD(str(tmp_path)).load(tmp_path)
        (recordings / "1_ann_0.wav").touch()
        with pytest.raises(CorpusError, match="has no recording for train"):
            FSDD(str(tmp_path)).load(tmp_path)
        (recordings / "1_ann_0.flac").touch()
        with pytest.raises(CorpusError, match=r"1_ann_0\.flac and .*1_ann_0\.wav are the same recording"):
            FSDD(str(tmp_path)).load(tmp_path)
        (recordings / "ten_ann_0.wav").touch()
        with pytest.raises(CorpusError, match=r"ten_ann_0\.wav is not called <digit>_<speaker>_<index>"):
            FSDD(str(tmp_path)).load(tmp_path)

    def test_real(self, tmp_path):
        corpus = FSDD(real_fsdd())
        splits = corpus.load(tmp_path)
        assert len(corpus.sources()) == 3000
        assert (len(splits.train), len(splits.valid), len(splits.test["test"])) == (2400, 300, 300)
        assert len({row["id"] for row in splits.train + splits.valid + splits.test["test"]}) == 3000
        assert len(FSDD(real_fsdd(), test_speaker="theo").load(tmp_path).test["test"]) == 500


class TestConnectedDigits:
    def test_a_string_is_its_recordings_with_silence_between(self, root, tmp_path):
        corpus = ConnectedDigits(str(root), num_train=30, num_valid=5, num_test=20)
        splits = corpus.load(tmp_path)
        indices = {"train": {5, 6, 7}, "valid": {8}, "test": {0, 1, 2, 3, 4}}
        sizes = {"train": 30, "valid": 5, "test": 20}
        for name, rows in {"train": splits.train, "valid": splits.valid, **splits.test}.items():
            assert len(rows) == sizes[name] and len({row["id"] for row in rows}) == sizes[name]
            for row in rows:
                samples, rate = soundfile.read(row["wav_path"], dtype="int16")
                assert rate == RATE and soundfile.info(row["wav_path"]).subtype == "PCM_16"
                starts = np.flatnonzero(np.diff(samples, prepend=0))
                runs = [(int(samples[a]), b - a) for a, b in zip(starts, [*starts[1:], len(samples)])]
                spoken, gaps = runs[::2], runs[1::2]
                assert 3 <= len(spoken) <= 7
                assert all(value == 0 and 0.03 <= length / RATE <= 0.12 for value, length in gaps)
                numbers = [value - 1 for value, _ in spoken]
                assert {number % 10 for number in numbers} <= indices[name]
                assert {("ann", "bob")[number // 100] for number in numbers} == {row["speaker"]}
                digits = [number // 10 % 10 for number in numbers]
                assert [length for _, length in spoken] == [40 + digit for digit in digits]
                assert row["transcription"] == " ".join(WORDS[digit] for digit in digits)

    def test_recordings_and_speakers_are_used_evenly(self, root):
        corpus = ConnectedDigits(str(root))
        strings = list(corpus._strings("test", 200, corpus._divide()["test"]))
        used = Counter(recording.path for _, recordings, _ in strings for recording in recordings)
        assert len(used) == 100
        for speaker in ("ann", "bob"):
            counts = [count for path, count in used.items() if f"_{speaker}_" in path.name]
            assert max(counts) - min(counts) <= 1
        assert Counter(row["speaker"] for row, _, _ in strings) == {"ann": 100, "bob": 100}
        assert {len(recordings) for _, recordings, _ in strings} == {3, 4, 5, 6, 7}

    def test_found_again_and_repaired(self, root, tmp_path):
        corpus = ConnectedDigits(str(root), num_train=5, num_valid=2, num_test=2)
        first = corpus.load(tmp_path)
        bytes_before, written = digest(tmp_path), os.stat(first.train[0]["wav_path"]).st_mtime_ns
        assert corpus.load(tmp_path) == first
        assert os.stat(first.train[0]["wav_path"]).st_mtime_ns == written
        for damage in (os.unlink, lambda path: os.truncate(path, 50)):
            damage(first.train[3]["wav_path"])
            assert corpus.load(tmp_path) == first
            assert digest(tmp_path) == bytes_before

    def test_the_folder_depends_on_settings_and_contents(self, root, tmp_path):
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
        folders = {
            Path(s.train[0]["wav_path"]).parents[1] for s in (first, other_seed, other_speaker, elsewhere, changed)
        }
        assert len(folders) == 4

    def test_killed_while_writing(self, root, tmp_path):
        code = (
            "from dataset.corpora.fsdd import *; "
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

    def test_two_processes_at_once(self, root, tmp_path):
        code = (
            "from dataset.corpora.fsdd import *; "
            f"corpus = ConnectedDigits({str(root)!r}, num_train=300, num_valid=1, num_test=1); "
            f"print(corpus.load({str(tmp_path)!r}).train[-1])"
        )
        command = [sys.executable, "-c", code]
        processes = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(3)]
        answers = {process.communicate()[0] for process in processes}
        assert [process.returncode for process in processes] == [0, 0, 0]
        assert len(answers) == 1 and "train-00299" in answers.pop()

    def test_recordings_that_do_not_fit(self, root, tmp_path):
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
        with pytest.raises(CorpusError, match=r"1_ann_0\.wav must have one channel"):
            corpus.load(tmp_path)
        assert not [path for path in (tmp_path / "connected_digits").iterdir() if path.suffix != ".lock"]

    def test_real_speech_gives_the_same_bytes_in_two_caches(self, tmp_path):
        corpus = ConnectedDigits(real_fsdd(), num_train=60, num_valid=10, num_test=20)
        splits = [corpus.load(tmp_path / name) for name in ("one", "two")]
        assert digest(tmp_path / "one") == digest(tmp_path / "two")
        assert len(digest(tmp_path / "one")) == 91
        assert texts(splits[0]) == texts(splits[1])


def test_import_brings_nothing_heavy():
    code = "import sys, dataset.corpora.fsdd as _; print({'torch', 'numpy', 'soundfile'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
