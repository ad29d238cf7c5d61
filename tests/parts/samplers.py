"""A batch sampler whose batches are easy to foresee, and a dataset for the built-in ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np


class FixedBatchSampler:
    """Batches of ``batch_size`` in the order of the data, or shuffled by (seed, epoch)."""

    def __init__(self, length: int, batch_size: int, shuffle: bool = False, seed: int = 0) -> None:
        self.length, self.batch_size, self.shuffle, self.seed, self.epoch = length, batch_size, shuffle, seed, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        order = np.arange(self.length)
        if self.shuffle:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(self.length)
        for begin in range(0, self.length, self.batch_size):
            yield order[begin : begin + self.batch_size].tolist()


class Lengths:
    """A dataset of which only the lengths and the columns are known."""

    def __init__(self, seconds: Sequence[float], **columns: Sequence[str]) -> None:
        self.seconds, self.columns = np.asarray(seconds, dtype=np.float64), columns

    def column(self, name: str) -> Sequence[str]:
        if name not in self.columns:
            raise KeyError(f"the columns are {', '.join(self.columns)}")
        return self.columns[name]


class OneBatchSampler:
    """All utterances in one batch: a user's own sampler, without batches by number."""

    def __init__(self, dataset: Lengths, batch_size: int | None, max_seconds: float | None) -> None:
        self.length = len(dataset.seconds)

    def __iter__(self) -> Iterator[list[int]]:
        yield list(range(self.length))
