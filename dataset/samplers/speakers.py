"""Speaker batch sampler: several utterances of each of several speakers, for losses that compare within a batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler


class SpeakerBatchSampler(Sampler[list[int]]):
    """Batches of ``batch_size / per_speaker`` speakers with ``per_speaker`` utterances each.

    Each epoch shuffles a speaker's utterances and deals them into groups of ``per_speaker``. A group that is not full
    is left out of the epoch. No speaker is twice in a batch, so the last groups of speakers with very many utterances
    may be left out too. A pure function of (seed, epoch).

    Args:
        speakers: the speaker of each utterance.
        batch_size: utterances in a batch.
        per_speaker: utterances of one speaker in a batch, at least 2.

    Raises:
        ValueError: the sizes do not fit, or too few speakers have ``per_speaker`` utterances.
    """

    def __init__(self, speakers: Sequence[str], batch_size: int, per_speaker: int, seed: int = 0) -> None:
        if per_speaker < 2 or batch_size % per_speaker or batch_size < 2 * per_speaker:
            raise ValueError(
                f"per_speaker is {per_speaker}, batch_size {batch_size}; expected at least 2 utterances a speaker, and "
                "a batch_size that is a multiple of it, for at least 2 speakers"
            )
        numbers = np.unique(np.asarray(speakers), return_inverse=True)[1]
        members = [np.flatnonzero(numbers == number) for number in range(numbers.max() + 1)]
        self.members = [utterances for utterances in members if len(utterances) >= per_speaker]
        self.per_speaker, self.per_batch = per_speaker, batch_size // per_speaker
        if len(self.members) < self.per_batch:
            raise ValueError(
                f"a batch of {batch_size} needs {self.per_batch} speakers with {per_speaker} utterances each, but only "
                f"{len(self.members)} speakers have that many; use a smaller batch_size or per_speaker"
            )
        self.seed, self.epoch = seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration, from 0."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self._plan())

    def __iter__(self) -> Iterator[list[int]]:
        yield from self._plan()

    def _plan(self) -> list[list[int]]:
        generator = np.random.default_rng([self.seed, self.epoch])
        groups = []
        for utterances in self.members:
            full = len(utterances) // self.per_speaker * self.per_speaker
            groups.append(list(generator.permutation(utterances)[:full].reshape(-1, self.per_speaker)))
        batches = []
        while True:
            # speakers with the most remaining groups come first, so that few groups are left out; ties at random
            remaining = np.array([len(speaker_groups) for speaker_groups in groups])
            order = np.lexsort((generator.permutation(len(groups)), -remaining))[: self.per_batch]
            if remaining[order[-1]] == 0:
                return [batches[index] for index in generator.permutation(len(batches))]
            batches.append(np.concatenate([groups[index].pop() for index in order]).tolist())
