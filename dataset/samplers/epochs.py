"""The batches of an epoch, a function of (seed, epoch) alone, whatever the batch sampler."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from dataset.protocols import BatchSampler, HasEpochs, offers
from dataset.samplers.base import NumberedBatchSampler
from dataset.seeding import derive, isolated


class EpochBatches(Sequence[list[int]]):
    """The batches of one epoch of a sampler that gives them by number; none of them is held."""

    def __init__(self, batch_sampler: NumberedBatchSampler, seed: int, epoch: int):
        self.batch_sampler, self.seed, self.epoch = batch_sampler, seed, epoch

    def __len__(self) -> int:
        return len(self.batch_sampler)

    def __getitem__(self, number: Any) -> Any:
        if isinstance(number, slice):
            return [self[place] for place in range(*number.indices(len(self)))]
        if not -len(self) <= number < len(self):
            raise IndexError(f"no batch {number}; the epoch has {len(self)}")
        return self.batch_sampler.batch(self.seed, self.epoch, number % len(self))


def epoch_batches(batch_sampler: BatchSampler, seed: int, epoch: int) -> Sequence[list[int]]:
    """Return the batches of one epoch, a function of (seed, epoch) alone; so too for torch's own samplers.

    Those of a :class:`NumberedBatchSampler` are made when they are asked for. On any other sampler, and on the samplers
    inside it, ``set_epoch`` is called, and ``seed`` and ``generator`` are set if they exist. What they draw from the
    global generators follows from (seed, epoch) as well.
    """
    if isinstance(batch_sampler, NumberedBatchSampler):
        return EpochBatches(batch_sampler, seed, epoch)
    order_seed = derive(seed, epoch, "order")
    sampler: Any = batch_sampler
    while sampler is not None:
        if isinstance(getattr(sampler, "seed", None), int):
            sampler.seed = seed
        if isinstance(getattr(sampler, "generator", None), torch.Generator):
            sampler.generator.manual_seed(order_seed)
        if offers(sampler, HasEpochs):
            sampler.set_epoch(epoch)
        sampler = getattr(sampler, "sampler", None) or getattr(sampler, "batch_sampler", None)
    with isolated(order_seed):
        return [list(batch) for batch in batch_sampler]


def utterances_in(batches: Iterable[Sequence[int]]) -> list[int]:
    """Return the sorted indices of the utterances in some batches, each once."""
    return sorted(set(itertools.chain.from_iterable(batches)))


def first_utterances(batch_sampler: BatchSampler, seed: int, count: int) -> Sequence[int]:
    """Return the sorted indices of the utterances in the first ``count`` batches of a training.

    The search stops at the first epoch without a new utterance. A sampler that draws may later add a few.
    """
    if isinstance(batch_sampler, NumberedBatchSampler):
        return batch_sampler.utterances(seed, count)
    indices: set[int] = set()
    for epoch in itertools.count():
        batches = epoch_batches(batch_sampler, seed, epoch)[:count]
        new = set(itertools.chain.from_iterable(batches)) - indices
        if not new:
            return sorted(indices)
        indices |= new
        count -= len(batches)
