"""Toy corpus for speaker identification: household sentences in 20 synthetic voices."""

from __future__ import annotations

import dataclasses

from dataset.corpora.common.toy import Cast, Planned, ToyUtterances
from dataset.espeak import grammar, voices


@dataclasses.dataclass
class ToySpeakers(ToyUtterances):
    """Household sentences in 20 synthetic voices, all of them in every split; ``label`` is the voice.

    No sentence is in two splits. Rate and pitch vary between utterances, so that neither identifies the voice.
    """

    def _split(self, split: str, size: int) -> list[Planned]:
        cast = Cast(split, voices.TRAIN, seed=f"speakers/{self.seed}", rates=(130, 190), pitches=(35, 65))
        templates = grammar.HELD_OUT if split == "test" else grammar.TEMPLATES
        sentences = (s for s in grammar.sentences(templates, cast.rng) if _split_of(s.text) == split or split == "test")
        for _ in range(size):
            voice = str(cast.voices.deal())
            cast.say(next(sentences).text, voice, {"label": voice})
        return cast.planned


def _split_of(text: str) -> str:
    """The split of a sentence, train or valid; test has its own templates."""
    return "valid" if sum(text.encode()) % 8 == 0 else "train"
