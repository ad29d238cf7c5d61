"""Toy corpora of how something is said: in which language, and in which mood."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from dataset.corpora.common.toy import Cast, Planned, ToyUtterances
from dataset.corpora.toy_words import VOICES
from dataset.espeak import grammar, languages
from dataset.setting import setting


@dataclasses.dataclass
class ToyLanguages(ToyUtterances):
    """Sentences of six languages in synthetic voices, those of each split its own; ``label`` is the language.

    Every voice speaks every language.
    """

    num_train: int = setting(1200, "training utterances (about 2 seconds each)", min=6)
    num_valid: int = setting(120, "validation utterances, in voices held out of training", min=6)
    num_test: int = setting(300, "test utterances, in voices held out of training and validation", min=6)

    def _split(self, split: str, size: int) -> list[Planned]:
        cast = Cast(split, VOICES[split], f"languages/{self.seed}", (120, 190), (30, 70))
        labels = grammar.Deck(tuple(languages.VOICES), cast.rng)
        for _ in range(size):
            label = str(labels.deal())
            variant = str(cast.voices.deal()).partition("+")[2]
            text = languages.sentence(label, cast.rng)
            cast.say(text, f"{languages.VOICES[label]}+{variant}", {"label": label, "speaker": variant})
        return cast.lines


class Mood(NamedTuple):
    """How a mood is played, each from and to."""

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
    """Household sentences played at four settings of a synthesiser, called after moods; ``label`` is the setting.

    Nobody feels anything here: a mood is a range of rate, pitch, movement of the pitch, and level, and the ranges
    touch or overlap. What a model learns of it says nothing about how well it would know people's moods. The voices of
    each split are its own.
    """

    num_train: int = setting(800, "training utterances (about 2 seconds each)", min=4)
    num_valid: int = setting(120, "validation utterances, in voices held out of training", min=4)
    num_test: int = setting(300, "test utterances, in voices held out of training and validation", min=4)

    def _split(self, split: str, size: int) -> list[Planned]:
        cast = Cast(split, VOICES[split], f"moods/{self.seed}", (0, 0), (0, 0))
        labels = grammar.Deck(tuple(MOODS), cast.rng)
        sentences = grammar.sentences(grammar.TEMPLATES, cast.rng)
        for _ in range(size):
            label = str(labels.deal())
            drawn = {name: cast.rng.uniform(*limits) for name, limits in MOODS[label]._asdict().items()}
            played = {name: round(value, 2 if name == "gain_db" else None) for name, value in drawn.items()}
            cast.say(next(sentences).text, None, {"label": label}, **played)
        return cast.lines
