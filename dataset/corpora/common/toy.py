"""What the toy corpora of whole utterances share: a plan of who says what, spoken once, as rows."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from pathlib import Path

from dataset.corpora.common.base import Corpus, Row, Splits
from dataset.espeak import Spoken, Utterance, synthesise, voices
from dataset.espeak.grammar import Deck
from dataset.setting import setting

GAINS_DB, NOISES_DB = (-12.0, 0.0), (-70.0, -45.0)


@dataclasses.dataclass(frozen=True)
class Planned:
    """An utterance before it is spoken, and the columns that its row will have beside those of every row."""

    utterance: Utterance
    columns: Row


class Cast:
    """Who speaks next, and how: speakers in turn, everything else drawn anew for each utterance.

    Args:
        split: opens the ids.
        names: eSpeak NG's variants ("en-us+m3"), of which a language of one's own may take the place.
        rates: words a minute, from and to.
        pitches: on eSpeak NG's scale, where 50 is the voice's own, from and to.
    """

    def __init__(
        self, split: str, names: Sequence[str], seed: str, rates: tuple[int, int], pitches: tuple[int, int]
    ) -> None:
        self.split, self.rates, self.pitches = split, rates, pitches
        self.rng = random.Random(f"{seed}/{split}")
        self.voices = Deck(tuple(names), self.rng)
        self.lines: list[Planned] = []

    def say(self, text: str, voice: str | None = None, columns: Row | None = None, **changes: float) -> None:
        """Add an utterance; ``changes`` replace fields of :class:`Utterance`."""
        name = str(self.voices.deal()) if voice is None else voice
        fields = {
            "rate": self.rng.randint(*self.rates),
            "pitch": self.rng.randint(*self.pitches),
            "gain_db": round(self.rng.uniform(*GAINS_DB), 2),
            "noise_db": round(self.rng.uniform(*NOISES_DB), 2),
        }
        number = f"{self.split}-{len(self.lines):05d}"
        utterance = Utterance(id=number, text=text, voice=name, **(fields | changes))
        variant = f"{voices.LANGUAGE}+{name.partition('+')[2]}"
        own = {"transcription": text, "speaker": name, "gender": voices.gender(variant)}
        self.lines.append(Planned(utterance, own | (columns or {})))


@dataclasses.dataclass
class ToyUtterances(Corpus):
    """Base of the toy corpora. Rows have ``id, wav_path, seconds, transcription, speaker, gender`` and their label."""

    num_train: int = setting(600, "training utterances", min=1)
    num_valid: int = setting(100, "validation utterances", min=1)
    num_test: int = setting(200, "test utterances", min=1)
    seed: int = setting(0, "another seed gives other utterances", min=0)

    def load(self, cache_dir: Path) -> Splits:
        """Make the audio, or find it made; see ``dataset.espeak.synthesise`` for what can go wrong."""
        plan = self.plan()
        spoken = iter(synthesise([line.utterance for lines in plan.values() for line in lines], cache_dir))
        rows = {split: [self._row(line, next(spoken)) for line in lines] for split, lines in plan.items()}
        return Splits(train=rows["train"], valid=rows["valid"], test={"test": rows["test"]})

    def plan(self) -> dict[str, list[Planned]]:
        """What will be said how: test, valid and train, in the order in which they are spoken."""
        sizes = {"test": self.num_test, "valid": self.num_valid, "train": self.num_train}
        return {split: self._split(split, size) for split, size in sizes.items()}

    def _split(self, split: str, size: int) -> list[Planned]:
        raise NotImplementedError(f"{type(self).__name__} must say what its splits are")

    @staticmethod
    def _row(line: Planned, spoken: Spoken) -> Row:
        made = {"id": spoken.id, "wav_path": str(spoken.wav_path), "seconds": str(spoken.seconds)}
        return made | line.columns
