"""Batches of several utterances of each of several speakers, for losses that compare within a batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from dataset.samplers.base import NumberedBatchSampler, column_of, lengths_of, size_of
from dataset.samplers.common.members import Members
from dataset.samplers.common.permutation import Permutation

TURNS = 7  # part of the keys of permutations


class SpeakerBatchSampler(NumberedBatchSampler):
    """Batches of ``batch_size / per_speaker`` speakers with ``per_speaker`` utterances each.

    Speakers take turns: each has been in a batch before one is again, but for the few that do not fill one. So do
    the utterances of a speaker. An epoch has as many batches as the utterances fill.

    Args:
        dataset: with ``seconds`` and ``column``.
        batch_size: utterances in a batch.
        max_seconds: None.
        per_speaker: utterances of one speaker in a batch, at least 2
        column: column of the speakers
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None,
        max_seconds: float | None,
        per_speaker: int = 2,
        column: str = "spk",
    ):
        size = size_of(batch_size, max_seconds, "speakers")
        if per_speaker < 2 or size % per_speaker or size < 2 * per_speaker:
            raise ValueError(
                f"per_speaker is {per_speaker}, batch_size {size}; expected at least 2 utterances a speaker, and "
                "a batch_size that is a multiple of it, for at least 2 speakers"
            )
        self.members = Members(column_of(dataset, column), least=per_speaker)
        self.per_speaker, self.per_batch = per_speaker, size // per_speaker
        if len(self.members) < self.per_batch:
            raise ValueError(
                f"a batch of {size} needs {self.per_batch} speakers with {per_speaker} utterances each, but only "
                f"{len(self.members)} speakers have that many; use a smaller batch_size or per_speaker"
            )
        self.batches = max(1, len(lengths_of(dataset)) // size)

    def __len__(self) -> int:
        return self.batches

    def batch(self, seed: int, epoch: int, number: int) -> list[int]:
        """The indices of the utterances of one batch, speaker by speaker."""
        per_round = len(self.members) // self.per_batch
        turn, part = divmod(epoch * self.batches + number, per_round)
        places = np.arange(part * self.per_batch, (part + 1) * self.per_batch)
        speakers = Permutation(len(self.members), seed, TURNS, turn)(places)
        return np.concatenate([self._utterances(seed, int(speaker), turn) for speaker in speakers]).tolist()

    def _utterances(self, seed: int, speaker: int, turn: int) -> np.ndarray:
        """``per_speaker`` different utterances of a speaker, others in the next turn."""
        size = int(self.members.sizes[speaker])
        around, group = divmod(turn, size // self.per_speaker)  # what does not fill a group is left out this time
        places = np.arange(group * self.per_speaker, (group + 1) * self.per_speaker)
        return self.members.visited(seed, np.full(self.per_speaker, speaker), around * size + places)
