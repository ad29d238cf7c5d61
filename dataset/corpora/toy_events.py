"""Toy corpus for sound event detection: sounds and spoken words at random times in noise."""

from __future__ import annotations

import dataclasses
import hashlib
import random
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dataset import SAMPLE_RATE
from dataset.corpora.common.base import Row, Splits
from dataset.corpora.common.made_audio import make_once, write_wav
from dataset.corpora.common.toy import Cast, Planned, ToyUtterances
from dataset.corpora.common.toy_sounds import SOUNDS, coloured_noise, faded, generator
from dataset.diarization.turns import Turn, to_json
from dataset.espeak import Spoken, grammar, voices
from dataset.setting import setting

if TYPE_CHECKING:
    import numpy as np

VERSION = 1
"""Of what is drawn and rendered. Audio is kept under it, so that any change of either needs another one."""
SECONDS = 8.0
WORDS = ("left", "stop", "yes")
LABELS = (*SOUNDS, *WORDS)
NUM_EVENTS, LENGTHS, RATIOS = (3, 6), (0.3, 1.5), (5.0, 25.0)
GAP_SEC = 0.4
"""Least time between two events of one label."""
MARGIN = 0.1
"""Seconds without an event at both ends of a recording."""
NOISE_LEVEL = 0.01


class Placed(NamedTuple):
    """An event: its label, start and end in seconds, level above the noise in dB, and for a word its utterance."""

    label: str
    start: float
    end: float
    snr: float
    word: int | None


@dataclasses.dataclass
class ToyEvents(ToyUtterances):
    """Recordings of 8 seconds with three to six events in pink noise: beeps, chirps, hisses, knocks and three words.

    Events of different labels may overlap. The words have other voices in each split. Columns: ``id, wav_path,
    seconds, events`` (JSON: ``[[start, end, label], ...]`` in seconds).
    """

    num_train: int = setting(240, "training recordings of 8 seconds", min=3)
    num_valid: int = setting(40, "validation recordings, with voices held out of training", min=3)
    num_test: int = setting(80, "test recordings, with voices held out of training and validation", min=3)

    def made_audio(self, cache_dir: Path) -> list[Path]:
        """The folders of the words, and of the recordings."""
        (words,) = super().made_audio(cache_dir)
        key = hashlib.sha256(repr((VERSION, words.name, self.seed)).encode()).hexdigest()[:16]
        return [words, Path(cache_dir).absolute() / "toy_events" / key]

    def load(self, cache_dir: Path) -> Splits:
        """Synthesise the words and write the recordings, or find both in ``cache_dir``."""
        spoken = super().load(cache_dir)
        folder = self.made_audio(cache_dir)[1]
        words = {"train": spoken.train, "valid": spoken.valid, "test": spoken.test["test"]}
        drawn = {split: self._draw(split, own) for split, own in words.items()}
        make_once(folder, lambda target: _write(drawn, words, target))
        rows = {
            split: [_row(folder, f"{split}-{number:05d}", events) for number, events in enumerate(own)]
            for split, own in drawn.items()
        }
        return Splits(train=rows["train"], valid=rows["valid"], test={"test": rows["test"]})

    def _split(self, split: str, size: int) -> list[Planned]:
        """A word for each recording."""
        cast = Cast(split, voices.BY_SPLIT[split], seed=f"events/{self.seed}", rates=(130, 180), pitches=(35, 65))
        words = grammar.Deck(WORDS, cast.rng)
        for _ in range(size):
            cast.say(str(words.deal()), noise_db=None)
        return cast.planned

    @staticmethod
    def _row(planned: Planned, spoken: Spoken) -> Row:
        """A word, with the times at which it begins and ends in its file."""
        (start, _, _), (_, end, _) = spoken.words[0], spoken.words[-1]
        return ToyUtterances._row(planned, spoken) | {"start": repr(start), "end": repr(end)}

    def _draw(self, split: str, words: list[Row]) -> list[list[Placed]]:
        """The events of each recording of a split."""
        rng = random.Random(f"recordings/{self.seed}/{split}")
        by_label = {word: [i for i, row in enumerate(words) if row["transcription"] == word] for word in WORDS}
        utterances = {word: grammar.Deck(tuple(own), rng) for word, own in by_label.items()}
        labels = grammar.Deck(LABELS, rng)
        recordings = []
        for _ in words:
            events: list[Placed] = []
            for _ in range(rng.randint(*NUM_EVENTS)):
                label, number = str(labels.deal()), None
                length = rng.uniform(*LENGTHS)
                if label in WORDS:
                    number = int(utterances[label].deal())
                    length = float(words[number]["end"]) - float(words[number]["start"])
                starts = (round(rng.uniform(MARGIN, SECONDS - MARGIN - length), 3) for _ in range(20))
                start = next((start for start in starts if _is_free(events, label, start, length)), None)
                if start is not None:  # else there are too many of the same label already
                    snr = round(rng.uniform(*RATIOS), 2)
                    events.append(Placed(label, start, round(start + length, 3), snr, number))
            recordings.append(sorted(events, key=lambda event: event.start))
        return recordings


def _is_free(events: list[Placed], label: str, start: float, length: float) -> bool:
    """True if no event of the same label is near."""
    own = (event for event in events if event.label == label)
    return all(start > event.end + GAP_SEC or start + length < event.start - GAP_SEC for event in own)


def _row(folder: Path, name: str, events: list[Placed]) -> Row:
    turns = [Turn(event.start, event.end, event.label) for event in events]
    return {
        "id": name,
        "wav_path": str(folder / f"{name}.wav"),
        "seconds": str(SECONDS),
        "events": to_json(turns),
    }


def _write(drawn: dict[str, list[list[Placed]]], words: dict[str, list[Row]], target: Path) -> None:
    for split, recordings in drawn.items():
        for number, events in enumerate(recordings):
            name = f"{split}-{number:05d}"
            _render(name, events, words[split], target / f"{name}.wav")


def _render(name: str, events: list[Placed], words: list[Row], path: Path) -> None:
    """Write a recording as 16-bit WAV at 16 kHz; louder than full scale is scaled down."""
    import numpy as np

    numbers = generator(name)
    wav = coloured_noise(round(SECONDS * SAMPLE_RATE), 1.0, numbers)
    wav *= NOISE_LEVEL / np.sqrt((wav**2).mean())
    for event in events:
        samples = _sound(event, words, numbers)
        samples *= NOISE_LEVEL * 10 ** (event.snr / 20) / np.sqrt((samples**2).mean() + 1e-12)
        first = round(event.start * SAMPLE_RATE)
        wav[first : first + len(samples)] += samples[: len(wav) - first]
    write_wav(path, wav / max(1.0, np.abs(wav).max() / 0.99), SAMPLE_RATE)


def _sound(event: Placed, words: list[Row], numbers: np.random.Generator) -> np.ndarray:
    """The samples of an event, float64."""
    if event.word is None:
        return faded(SOUNDS[event.label](round((event.end - event.start) * SAMPLE_RATE), numbers))
    from dataset.audio import read

    row = words[event.word]
    return read(row["wav_path"], float(row["start"]), float(row["end"])).double().numpy()
