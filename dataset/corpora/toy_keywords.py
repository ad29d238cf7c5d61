"""Toy corpus for keyword spotting: single words and noise in synthetic voices."""

from __future__ import annotations

import dataclasses

from dataset.corpora.common.toy import Cast, Planned, ToyUtterances
from dataset.espeak import grammar, voices
from dataset.setting import setting

KEYWORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
OTHERS = (
    "bed bird cat dog eight five four happy house marvin nine one seven sheila six three tree two wow zero "
    "garden water follow window orange paper silver tomorrow"
).split()
UNKNOWN, SILENCE = "_unknown_", "_silence_"
INAUDIBLE_DB = -150.0  # of the speech in a recording of noise, far below the last of 16 bits


@dataclasses.dataclass
class ToyKeywords(ToyUtterances):
    """Ten keywords, other words, and noise alone, in synthetic voices, other ones in each split.

    ``label`` is the keyword, ``_unknown_`` or ``_silence_``, all equally often.
    """

    num_train: int = setting(1200, "training utterances (about 0.7 seconds each)", min=12)
    num_valid: int = setting(120, "validation utterances, in voices held out of training", min=12)
    num_test: int = setting(360, "test utterances, in voices held out of training and validation", min=12)

    def _split(self, split: str, size: int) -> list[Planned]:
        cast = Cast(split, voices.BY_SPLIT[split], seed=f"keywords/{self.seed}", rates=(120, 190), pitches=(30, 70))
        labels = grammar.Deck((*KEYWORDS, UNKNOWN, SILENCE), cast.rng)
        others = grammar.Deck(tuple(OTHERS), cast.rng)
        for _ in range(size):
            label = str(labels.deal())
            if label == SILENCE:
                columns = {"label": label, "transcription": "", "speaker": "", "gender": ""}
                cast.say("silence", None, columns, gain_db=INAUDIBLE_DB, noise_db=cast.rng.uniform(-60, -30))
            else:
                cast.say(str(others.deal()) if label == UNKNOWN else label, None, {"label": label})
        return cast.planned
