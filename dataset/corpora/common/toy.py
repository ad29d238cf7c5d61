"""The base of the toy corpora: plan sentences and voices, synthesise them once, and give their rows."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from pathlib import Path

from dataset.corpora.common.base import Corpus, Row, Splits
from dataset.espeak import Spoken, ToySentence, folder_of, synthesise, voices
from dataset.espeak.grammar import Deck
from dataset.setting import setting

GAINS_DB, NOISES_DB = (-12.0, 0.0), (-70.0, -45.0)


@dataclasses.dataclass(frozen=True)
class Planned:
    """A sentence before it is synthesised, with the columns of its row except id, path and length."""

    sentence: ToySentence
    columns: Row


class Cast:
    """Assigns a voice to each sentence, in turn, and draws its rate, pitch, gain and noise.

    Args:
        split: the ids begin with it.
        names: voices of eSpeak NG ("en-us+m3").
        seed: with the split, decides all that is drawn.
        rates: range of words a minute.
        pitches: range on eSpeak NG's scale, on which 50 is the voice's own.
    """

    def __init__(
        self, split: str, names: Sequence[str], *, seed: str, rates: tuple[int, int], pitches: tuple[int, int]
    ) -> None:
        self.split, self.rates, self.pitches = split, rates, pitches
        self.rng = random.Random(f"{seed}/{split}")
        self.voices = Deck(tuple(names), self.rng)
        self.planned: list[Planned] = []

    def say(self, text: str, voice: str | None = None, columns: Row | None = None, **changes: float | None) -> None:
        """Plan a sentence; ``changes`` replace what would be drawn for :class:`ToySentence`."""
        name = str(self.voices.deal()) if voice is None else voice
        fields = {
            "rate": self.rng.randint(*self.rates),
            "pitch": self.rng.randint(*self.pitches),
            "gain_db": round(self.rng.uniform(*GAINS_DB), 2),
            "noise_db": round(self.rng.uniform(*NOISES_DB), 2),
        }
        sentence_id = f"{self.split}-{len(self.planned):05d}"
        sentence = ToySentence(id=sentence_id, text=text, voice=name, **(fields | changes))
        variant = f"{voices.LANGUAGE}+{name.partition('+')[2]}"
        common = {"transcription": text, "speaker": name, "gender": voices.gender(variant)}
        self.planned.append(Planned(sentence, common | (columns or {})))


@dataclasses.dataclass
class ToyUtterances(Corpus):
    """A toy corpus. Rows have ``id, wav_path, seconds, transcription, speaker, gender`` and their label."""

    num_train: int = setting(600, "training utterances", min=1)
    num_valid: int = setting(100, "validation utterances", min=1)
    num_test: int = setting(200, "test utterances", min=1)
    seed: int = setting(0, "another seed gives other utterances", min=0)

    def made_audio(self, cache_dir: Path) -> list[Path]:
        """The folder of these sentences."""
        return [folder_of([planned.sentence for split in self.plan().values() for planned in split], cache_dir)]

    def load(self, cache_dir: Path) -> Splits:
        """Synthesise the audio, or find it in ``cache_dir``, as :func:`dataset.espeak.synthesise` does."""
        plan = self.plan()
        spoken = iter(synthesise([planned.sentence for split in plan.values() for planned in split], cache_dir))
        rows = {name: [self._row(planned, next(spoken)) for planned in split] for name, split in plan.items()}
        return Splits(train=rows["train"], valid=rows["valid"], test={"test": rows["test"]})

    def plan(self) -> dict[str, list[Planned]]:
        """The sentences of test, valid and train, in the order in which they are synthesised."""
        sizes = {"test": self.num_test, "valid": self.num_valid, "train": self.num_train}
        return {split: self._split(split, size) for split, size in sizes.items()}

    def _split(self, split: str, size: int) -> list[Planned]:
        raise NotImplementedError(f"{type(self).__name__} must plan its splits")

    @staticmethod
    def _row(planned: Planned, spoken: Spoken) -> Row:
        audio = {"id": spoken.id, "wav_path": str(spoken.wav_path), "seconds": str(spoken.seconds)}
        return audio | planned.columns
