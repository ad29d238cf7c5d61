"""Connected digits: strings of recordings of the Free Spoken Digit Dataset."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import random
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from dataset.corpora.common.base import CorpusError, Row, Splits
from dataset.corpora.common.made_audio import write_wav
from dataset.corpora.fsdd import FSDD, WORDS, Recording
from dataset.setting import setting
from dataset.storage.files import sweep, write_folder
from dataset.storage.locks import locked

NUM_DIGITS = (3, 7)  # of a string, both included
GAP_SECONDS = (0.03, 0.12)  # of silence between two digits
INDEX = "index.json"


@dataclasses.dataclass
class ConnectedDigits(FSDD):
    """Strings of 3 to 7 digits: recordings of one speaker of :class:`FSDD`, with 30-120 ms of silence between them.

    Each split uses its own recordings. Every speaker has equally many strings, and every recording of a speaker is used
    before one is used again. The strings are written once, as 16-bit WAV at the rate of the recordings, to
    ``cache_dir/connected_digits/<key>``. The key covers the settings and the names and contents of the recordings, so
    that the same key always holds the same bytes.

    Columns: ``id, wav_path, transcription`` ("three one four"), ``speaker``.
    """

    num_train: int = setting(2400, "number of training strings", min=1)
    num_valid: int = setting(200, "number of validation strings", min=1)
    num_test: int = setting(300, "number of test strings", min=1)
    seed: int = setting(0, "another seed gives other strings", min=0)

    def sources(self) -> list[Path]:
        """Every recording, because the strings are made of their samples."""
        return [recording.path for recording in self._recordings()]

    def made_audio(self, cache_dir: Path) -> list[Path]:
        """The folder of these strings."""
        return [Path(os.path.abspath(cache_dir)) / "connected_digits" / self._key(self.divide())]

    def load(self, cache_dir: Path) -> Splits:
        """Write the strings if ``cache_dir`` does not hold all of them, and return the rows of every split."""
        divided = self.divide()
        (folder,) = self.made_audio(cache_dir)
        if not _is_whole(folder):
            with locked(Path(f"{folder}.lock")):  # a second process waits here
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
        """The row, the recordings and the seconds of silence between them, for each string of a split."""
        rng = random.Random(f"{self.seed} {split}")
        by_speaker = defaultdict(list)
        for recording in recordings:
            by_speaker[recording.speaker].append(recording)
        speakers = _deal(sorted(by_speaker), rng)
        decks = {speaker: _deal(cards, rng) for speaker, cards in by_speaker.items()}
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
    """Each card once, in random order, again and again."""
    while True:
        yield from rng.sample(cards, len(cards))


def _join(recordings: list[Recording], gaps: list[float], path: Path) -> int:
    """Write the recordings with ``gaps`` seconds of silence between them as 16-bit WAV; return its size in bytes."""
    import numpy as np
    import soundfile

    pieces, rates = [], []
    for recording in recordings:
        try:
            samples, rate = soundfile.read(recording.path, dtype="int16")
        except soundfile.LibsndfileError as error:
            raise CorpusError(f"{recording.path} cannot be read as audio: {error}") from error
        if samples.ndim != 1 or not len(samples):
            raise CorpusError(f"{recording.path}: expected one channel and some samples, got the shape {samples.shape}")
        if pieces and rate != rates[-1]:
            raise CorpusError(
                f"{recording.path} is at {rate} Hz, {recordings[0].path} at {rates[-1]} Hz: expected one rate"
            )
        if pieces:
            pieces.append(np.zeros(round(gaps[len(rates) - 1] * rate), np.int16))
        pieces.append(samples)
        rates.append(rate)
    return write_wav(path, np.concatenate(pieces), rates[0])


def _is_whole(folder: Path) -> bool:
    """Return True if the folder holds every file that was written, at its size."""
    try:
        sizes = json.loads((folder / INDEX).read_text("utf-8"))["sizes"]
        return all(os.path.getsize(folder / name) == size for name, size in sizes.items())
    except (OSError, ValueError, KeyError):
        return False
