"""Batches of several utterances of each of several speakers, which losses that compare within a batch need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler


class SpeakerBatchSampler(Sampler[list[int]]):
    """``batch_size / per_speaker`` speakers a batch, ``per_speaker`` utterances of each.

    An epoch deals each speaker's utterances, in a new order, into groups; those that do not fill a group wait for
    another epoch. No speaker is twice in a batch, so that the last groups of speakers with very many utterances may
    wait too. A pure function of (seed, epoch).

    Args:
        speakers: the speaker of each utterance.
        batch_size: utterances in a batch.
        per_speaker: utterances of one speaker in a batch, at least 2.

    Raises:
        ValueError: a size does not fit; fewer speakers with ``per_speaker`` utterances than a batch has.
    """

    def __init__(self, speakers: Sequence[str], batch_size: int, per_speaker: int, seed: int = 0) -> None:
        if per_speaker < 2 or batch_size % per_speaker or batch_size < 2 * per_speaker:
            raise ValueError(
                f"per_speaker is {per_speaker}, batch_size {batch_size}: expected 2 utterances of a speaker or more, "
                "and a batch of at least two speakers that it divides"
            )
        numbers = np.unique(np.asarray(speakers), return_inverse=True)[1]
        self.members = [np.flatnonzero(numbers == n) for n in range(numbers.max() + 1)]
        self.members = [own for own in self.members if len(own) >= per_speaker]
        self.per_speaker, self.per_batch = per_speaker, batch_size // per_speaker
        if len(self.members) < self.per_batch:
            raise ValueError(
                f"a batch of {batch_size} has {self.per_batch} speakers with {per_speaker} utterances each, but only "
                f"{len(self.members)} speakers have so many: take a smaller batch_size or per_speaker"
            )
        self.seed, self.epoch = seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, from 0, whose batches the next iteration has."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self._plan())

    def __iter__(self) -> Iterator[list[int]]:
        yield from self._plan()

    def _plan(self) -> list[list[int]]:
        draw = np.random.default_rng([self.seed, self.epoch])
        waiting = [draw.permutation(own)[: len(own) // self.per_speaker * self.per_speaker] for own in self.members]
        groups = [list(own.reshape(-1, self.per_speaker)) for own in waiting]
        batches = []
        while True:
            # those with most groups left come first, so that few of them are left over; equal ones in a new order
            left = np.array([len(own) for own in groups])
            order = np.lexsort((draw.permutation(len(groups)), -left))[: self.per_batch]
            if left[order[-1]] == 0:
                return [batches[n] for n in draw.permutation(len(batches))]
            batches.append(np.concatenate([groups[n].pop() for n in order]).tolist())
