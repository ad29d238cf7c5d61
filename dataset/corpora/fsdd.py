"""The Free Spoken Digit Dataset, and strings of it (github: Jakobovski/free-spoken-digit-dataset)."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import random
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from dataset.corpora.common.base import Corpus, CorpusError, Row, Splits
from dataset.files import sweep, write_folder
from dataset.locks import locked
from dataset.setting import REQUIRED, setting

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
NUM_TEST_INDICES = 5  # the corpus's own rule: recordings 0-4 of each speaker and digit are its test set
NUM_DIGITS = (3, 7)  # of a connected string, both included
GAP_SECONDS = (0.03, 0.12)  # of silence between two digits
INDEX = "index.json"


class Recording(NamedTuple):
    """One spoken digit."""

    digit: int
    speaker: str
    index: int
    path: Path


@dataclasses.dataclass
class FSDD(Corpus):
    """``root/recordings/<digit>_<speaker>_<index>.wav`` (or ``.flac``): one digit a file.

    The test set is index 0-4 of every speaker and digit or, with ``test_speaker``, everything that this
    speaker said, whatever its index; the rest is for training. Of that, the recordings with the highest
    indices of each speaker and digit are for validation: ``valid_fraction`` of them rounded, at least one.

    Columns: ``id, wav_path, transcription`` ("zero" to "nine"), ``label`` ("0" to "9"), ``speaker``.
    """

    dataset_root: str = setting(REQUIRED, "folder that holds the corpus's folder 'recordings'")
    test_speaker: str | None = setting(
        None, "test on this speaker and train on the others; null: test on index 0-4 of all"
    )
    valid_fraction: float = setting(
        0.1, "part of each speaker's training recordings of a digit kept for validation", min=0.001, max=0.9
    )

    def sources(self) -> list[Path]:
        """Every recording."""
        return [recording.path for recording in self._recordings()]

    def load(self, cache_dir: Path) -> Splits:
        """Rows of every split, the test set being called ``test``."""
        train, valid, test = ([_row(recording) for recording in part] for part in self._divide().values())
        return Splits(train=train, valid=valid, test={"test": test})

    def _recordings(self) -> list[Recording]:
        """All recordings by speaker, digit and index."""
        folder = Path(os.path.abspath(os.path.expanduser(self.dataset_root))) / "recordings"
        if not folder.is_dir():
            raise CorpusError(
                f"FSDD is not in {folder.parent}: there is no folder {folder}; dataset_root must name the "
                "folder that holds 'recordings'"
            )
        found = []
        for name in sorted(os.listdir(folder)):
            if not name.endswith((".wav", ".flac")):
                continue
            match = re.fullmatch(r"([0-9])_(.+)_([0-9]+)\.(?:wav|flac)", name)
            if match is None:
                raise CorpusError(f"{folder / name} is not called <digit>_<speaker>_<index>.wav or .flac")
            found.append(Recording(int(match[1]), match[2], int(match[3]), folder / name))
        if not found:
            raise CorpusError(f"{folder} holds no .wav and no .flac")
        found.sort(key=lambda recording: (recording.speaker, recording.digit, recording.index))
        for first, second in zip(found, found[1:]):
            if first[:3] == second[:3]:
                raise CorpusError(f"{first.path} and {second.path} are the same recording: keep one of them")
        return found

    def _divide(self) -> dict[str, list[Recording]]:
        """The recordings of ``train``, ``valid`` and ``test``, in this order."""
        recordings = self._recordings()
        speakers = sorted({recording.speaker for recording in recordings})
        if self.test_speaker is not None and self.test_speaker not in speakers:
            raise CorpusError(
                f"test_speaker {self.test_speaker!r} is not in FSDD; the speakers are {', '.join(speakers)}"
            )
        divided: dict[str, list[Recording]] = {"train": [], "valid": [], "test": []}
        rest = defaultdict(list)
        for recording in recordings:
            if self.test_speaker is None:
                is_test = recording.index < NUM_TEST_INDICES
            else:
                is_test = recording.speaker == self.test_speaker
            if is_test:
                divided["test"].append(recording)
            else:
                rest[recording.speaker, recording.digit].append(recording)
        for group in rest.values():
            num_valid = min(max(1, int(len(group) * self.valid_fraction + 0.5)), len(group) - 1)
            divided["train"].extend(group[: len(group) - num_valid])
            divided["valid"].extend(group[len(group) - num_valid :])
        for split, part in divided.items():
            if not part:
                raise CorpusError(
                    f"{self.dataset_root} has no recording for {split}: there are {len(recordings)}, of "
                    f"{', '.join(speakers)}; test_speaker is {self.test_speaker}, "
                    f"valid_fraction is {self.valid_fraction}"
                )
        return divided


def _row(recording: Recording) -> Row:
    return {
        "id": recording.path.stem,
        "wav_path": str(recording.path),
        "transcription": WORDS[recording.digit],
        "label": str(recording.digit),
        "speaker": recording.speaker,
    }


@dataclasses.dataclass
class ConnectedDigits(FSDD):
    """Strings of 3 to 7 digits: recordings of one speaker of :class:`FSDD` with 30-120 ms of silence between.

    Each split's strings use that split's recordings only; every speaker speaks equally often, and every
    recording of a speaker is used before one is used again. The strings are written once, as 16-bit WAV at
    the recordings' own rate, under ``cache_dir/connected_digits/<key>``, where the key covers the settings,
    the names and the contents of the recordings; the same key always holds the same bytes.

    Columns: ``id, wav_path, transcription`` ("three one four"), ``speaker``.
    """

    num_train: int = setting(2400, "number of training strings", min=1)
    num_valid: int = setting(200, "number of validation strings", min=1)
    num_test: int = setting(300, "number of test strings", min=1)
    seed: int = setting(0, "which strings are made", min=0)

    def load(self, cache_dir: Path) -> Splits:
        """Rows of every split, after writing the strings if they are not whole in ``cache_dir`` yet."""
        divided = self._divide()
        folder = Path(os.path.abspath(cache_dir)) / "connected_digits" / self._key(divided)
        if not _is_whole(folder):
            with locked(Path(f"{folder}.lock")):  # a second process waits here and then finds the folder
                if not _is_whole(folder):
                    self._write(folder, divided)
        rows = json.loads((folder / INDEX).read_text("utf-8"))["rows"]
        for split in rows.values():
            for row in split:
                row["wav_path"] = str(folder / row["wav_path"])
        return Splits(train=rows["train"], valid=rows["valid"], test={"test": rows["test"]})

    def _key(self, divided: dict[str, list[Recording]]) -> str:
        settings = {"made": 1, "num": [self.num_train, self.num_valid, self.num_test], "seed": self.seed}
        key = hashlib.sha256(json.dumps(settings).encode())
        for split, recordings in divided.items():
            for recording in recordings:
                content = hashlib.sha256(recording.path.read_bytes()).hexdigest()
                key.update(f"\n{split} {recording.path.name} {content}".encode())
        return key.hexdigest()[:20]

    def _write(self, folder: Path, divided: dict[str, list[Recording]]) -> None:
        """Write every string and the index. The caller holds the lock."""

        def fill(target: Path) -> None:
            rows, sizes = {}, {}
            numbers = {"train": self.num_train, "valid": self.num_valid, "test": self.num_test}
            for split, number in numbers.items():
                (target / split).mkdir()
                rows[split] = []
                for row, recordings, gaps in self._strings(split, number, divided[split]):
                    sizes[row["wav_path"]] = _join(recordings, gaps, target / row["wav_path"])
                    rows[split].append(row)
            (target / INDEX).write_text(json.dumps({"rows": rows, "sizes": sizes}), encoding="utf-8")

        sweep(folder.parent, folder.name)
        write_folder(folder, fill)

    def _strings(
        self, split: str, number: int, recordings: list[Recording]
    ) -> Iterator[tuple[Row, list[Recording], list[float]]]:
        """Row, recordings and the seconds of silence between them, for each string of a split."""
        rng = random.Random(f"{self.seed} {split}")
        by_speaker = defaultdict(list)
        for recording in recordings:
            by_speaker[recording.speaker].append(recording)
        speakers = _deal(sorted(by_speaker), rng)
        decks = {speaker: _deal(own, rng) for speaker, own in by_speaker.items()}
        for position in range(number):
            speaker = next(speakers)
            chosen = [next(decks[speaker]) for _ in range(rng.randint(*NUM_DIGITS))]
            name = f"{split}-{position:05d}-{speaker}"
            row = {
                "id": name,
                "wav_path": f"{split}/{name}.wav",
                "transcription": " ".join(WORDS[recording.digit] for recording in chosen),
                "speaker": speaker,
            }
            yield row, chosen, [rng.uniform(*GAP_SECONDS) for _ in chosen[1:]]


def _deal(cards: list, rng: random.Random) -> Iterator:
    """Each card once in random order, then again in another order, without end."""
    while True:
        yield from rng.sample(cards, len(cards))


def _join(recordings: list[Recording], gaps: list[float], path: Path) -> int:
    """Write the recordings with ``gaps`` seconds of silence between them as 16-bit WAV; its size in bytes."""
    import numpy as np
    import soundfile

    pieces, rates = [], []
    for recording in recordings:
        try:
            samples, rate = soundfile.read(recording.path, dtype="int16")
        except soundfile.LibsndfileError as error:
            raise CorpusError(f"{recording.path} cannot be read as audio: {error}") from error
        if samples.ndim != 1 or not len(samples):
            raise CorpusError(f"{recording.path} must have one channel and some samples, its shape is {samples.shape}")
        if pieces and rate != rates[-1]:
            raise CorpusError(
                f"{recording.path} is at {rate} Hz, {recordings[0].path} at {rates[-1]} Hz: not one corpus"
            )
        if pieces:
            pieces.append(np.zeros(round(gaps[len(rates) - 1] * rate), np.int16))
        pieces.append(samples)
        rates.append(rate)
    with open(path, "wb") as file:
        soundfile.write(file, np.concatenate(pieces), rates[0], format="WAV", subtype="PCM_16")
    return path.stat().st_size


def _is_whole(folder: Path) -> bool:
    """Whether every file that was written there is there, at its size."""
    try:
        sizes = json.loads((folder / INDEX).read_text("utf-8"))["sizes"]
        return all(os.path.getsize(folder / name) == size for name, size in sizes.items())
    except (OSError, ValueError, KeyError):
        return False
