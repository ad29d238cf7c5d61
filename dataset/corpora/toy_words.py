"""Toy corpora of what is said: single words, and commands with slots."""

from __future__ import annotations

import dataclasses

from dataset.corpora.common.toy import Cast, Planned, ToyUtterances
from dataset.espeak import grammar, voices
from dataset.espeak.commands import command
from dataset.setting import setting

KEYWORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
OTHERS = (
    "bed bird cat dog eight five four happy house marvin nine one seven sheila six three tree two wow zero "
    "garden water follow window orange paper silver tomorrow"
).split()
UNKNOWN, SILENCE = "_unknown_", "_silence_"
INAUDIBLE_DB = -150.0  # the speech of a noise recording, far below the last of 16 bits

VOICES = {"train": voices.TRAIN, "valid": voices.VALID, "test": voices.TEST}


@dataclasses.dataclass
class ToyKeywords(ToyUtterances):
    """Single words in synthetic voices, those of each split its own: ten keywords, others, and noise alone.

    ``label`` is the keyword, ``_unknown_`` or ``_silence_``, all equally often.
    """

    num_train: int = setting(1200, "training utterances (about 0.7 seconds each)", min=12)
    num_valid: int = setting(120, "validation utterances, in voices held out of training", min=12)
    num_test: int = setting(360, "test utterances, in voices held out of training and validation", min=12)

    def _split(self, split: str, size: int) -> list[Planned]:
        cast = Cast(split, VOICES[split], f"keywords/{self.seed}", (120, 190), (30, 70))
        labels = grammar.Deck((*KEYWORDS, UNKNOWN, SILENCE), cast.rng)
        others = grammar.Deck(tuple(OTHERS), cast.rng)
        for _ in range(size):
            label = str(labels.deal())
            if label == SILENCE:
                columns = {"label": label, "transcription": "", "speaker": "", "gender": ""}
                cast.say("silence", None, columns, gain_db=INAUDIBLE_DB, noise_db=cast.rng.uniform(-60, -30))
            else:
                cast.say(str(others.deal()) if label == UNKNOWN else label, None, {"label": label})
        return cast.lines


@dataclasses.dataclass
class ToyCommands(ToyUtterances):
    """Commands in synthetic voices, those of each split its own; ``labels`` is "action ; object ; location"."""

    num_train: int = setting(1200, "training utterances (about 1.5 seconds each)", min=1)
    num_valid: int = setting(120, "validation utterances, in voices held out of training", min=1)
    num_test: int = setting(300, "test utterances, in voices held out of training and validation", min=1)

    def _split(self, split: str, size: int) -> list[Planned]:
        cast = Cast(split, VOICES[split], f"commands/{self.seed}", (120, 190), (30, 70))
        for _ in range(size):
            said = command(cast.rng)
            cast.say(said.text, None, {"labels": f"{said.action} ; {said.object} ; {said.location}"})
        return cast.lines
