"""Toy corpus for emotion recognition: household sentences at four settings of a synthesiser, called moods."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from dataset.corpora.common.toy import Cast, Planned, ToyUtterances
from dataset.espeak import grammar, voices
from dataset.setting import setting


class Mood(NamedTuple):
    """The ranges of a mood's settings, each from and to."""

    rate: tuple[int, int]
    pitch: tuple[int, int]
    pitch_range: tuple[int, int]
    gain_db: tuple[float, float]


MOODS = {
    "angry": Mood((195, 235), (35, 60), (45, 75), (-3.0, 0.0)),
    "happy": Mood((160, 200), (60, 90), (75, 99), (-7.0, -3.0)),
    "neutral": Mood((135, 165), (40, 60), (30, 60), (-9.0, -5.0)),
    "sad": Mood((95, 130), (20, 45), (5, 30), (-14.0, -9.0)),
}


@dataclasses.dataclass
class ToyMoods(ToyUtterances):
    """Household sentences at four settings of a synthesiser, named after moods; ``label`` is the setting.

    A mood is a range of rate, pitch, movement of the pitch, and level; the ranges touch or overlap. Results on it say
    nothing about the recognition of real emotions. Each split has its own voices.
    """

    num_train: int = setting(800, "training utterances (about 2 seconds each)", min=4)
    num_valid: int = setting(120, "validation utterances, in voices held out of training", min=4)
    num_test: int = setting(300, "test utterances, in voices held out of training and validation", min=4)

    def _split(self, split: str, size: int) -> list[Planned]:
        cast = Cast(split, voices.BY_SPLIT[split], seed=f"moods/{self.seed}", rates=(0, 0), pitches=(0, 0))
        labels = grammar.Deck(tuple(MOODS), cast.rng)
        sentences = grammar.sentences(grammar.TEMPLATES, cast.rng)
        for _ in range(size):
            label = str(labels.deal())
            drawn = {name: cast.rng.uniform(*limits) for name, limits in MOODS[label]._asdict().items()}
            settings = {name: round(value, 2 if name == "gain_db" else None) for name, value in drawn.items()}
            cast.say(next(sentences).text, None, {"label": label}, **settings)
        return cast.planned
