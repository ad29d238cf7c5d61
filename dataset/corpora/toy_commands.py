"""Toy corpus for intent classification: commands with three slots in synthetic voices."""

from __future__ import annotations

import dataclasses

from dataset.corpora.common.toy import Cast, Planned, ToyUtterances
from dataset.espeak import voices
from dataset.espeak.commands import draw_command
from dataset.setting import setting


@dataclasses.dataclass
class ToyCommands(ToyUtterances):
    """Commands in synthetic voices, other ones in each split; ``labels`` is "action ; object ; location"."""

    num_train: int = setting(1200, "training utterances (about 1.5 seconds each)", min=1)
    num_valid: int = setting(120, "validation utterances, in voices held out of training", min=1)
    num_test: int = setting(300, "test utterances, in voices held out of training and validation", min=1)

    def _split(self, split: str, size: int) -> list[Planned]:
        cast = Cast(split, voices.BY_SPLIT[split], seed=f"commands/{self.seed}", rates=(120, 190), pitches=(30, 70))
        for _ in range(size):
            command = draw_command(cast.rng)
            labels = f"{command.action} ; {command.object} ; {command.location}"
            cast.say(command.text, None, {"labels": labels})
        return cast.planned
