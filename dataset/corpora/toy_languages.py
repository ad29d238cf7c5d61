"""Toy corpus for language identification: sentences of six languages in synthetic voices."""

from __future__ import annotations

import dataclasses

from dataset.corpora.common.toy import Cast, Planned, ToyUtterances
from dataset.espeak import grammar, languages, voices
from dataset.setting import setting


@dataclasses.dataclass
class ToyLanguages(ToyUtterances):
    """Sentences of six languages in synthetic voices, other ones in each split; ``label`` is the language.

    Every voice speaks every language.
    """

    num_train: int = setting(1200, "training utterances (about 2 seconds each)", min=6)
    num_valid: int = setting(120, "validation utterances, in voices held out of training", min=6)
    num_test: int = setting(300, "test utterances, in voices held out of training and validation", min=6)

    def _split(self, split: str, size: int) -> list[Planned]:
        cast = Cast(split, voices.BY_SPLIT[split], seed=f"languages/{self.seed}", rates=(120, 190), pitches=(30, 70))
        labels = grammar.Deck(tuple(languages.VOICES), cast.rng)
        for _ in range(size):
            label = str(labels.deal())
            variant = str(cast.voices.deal()).partition("+")[2]
            text = languages.draw_sentence(label, cast.rng)
            cast.say(text, f"{languages.VOICES[label]}+{variant}", {"label": label, "speaker": variant})
        return cast.planned
