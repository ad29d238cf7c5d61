"""Batches of utterances that are drawn: some several times in an epoch, some not at all."""

from __future__ import annotations

import abc
import math

import numpy as np

from dataset.samplers.base import NumberedBatchSampler
from dataset.samplers.common.permutation import Permutation

POOL = 16  # batches that are drawn together and divided by length, so that they pad less
ORDER = 3  # part of the keys of permutations


class DrawnBatchSampler(NumberedBatchSampler):
    """As many utterances an epoch as there are, drawn place by place; batches are of similar length.

    The places of some batches are drawn together, sorted by length and divided into batches.

    Args:
        seconds: of each utterance, (N,).
        batch_size: utterances in a batch.
    """

    def __init__(self, seconds: np.ndarray, batch_size: int):
        self.seconds, self.batch_size = seconds, batch_size
        self._last: tuple[tuple[int, int, int], np.ndarray] | None = None  # the pool of the last batch

    @abc.abstractmethod
    def drawn(self, seed: int, epoch: int, places: np.ndarray) -> np.ndarray:
        """The utterances at some places of an epoch: int (M,), from 0 -> int (M,)."""

    def __len__(self) -> int:
        return math.ceil(len(self.seconds) / self.batch_size)

    def batch(self, seed: int, epoch: int, number: int) -> list[int]:
        """The indices of the utterances of one batch."""
        pool, turn = divmod(number, POOL)
        indices = self._pool(seed, epoch, pool)
        batches = math.ceil(len(indices) / self.batch_size)
        turn = int(Permutation(batches, seed, epoch, ORDER, pool)(np.array([turn]))[0])
        return indices[turn * self.batch_size : (turn + 1) * self.batch_size].tolist()

    def _pool(self, seed: int, epoch: int, pool: int) -> np.ndarray:
        """The utterances of some batches, the longest first."""
        key = seed, epoch, pool
        if self._last is None or self._last[0] != key:
            begin, size = pool * POOL * self.batch_size, POOL * self.batch_size
            indices = self.drawn(seed, epoch, np.arange(begin, min(begin + size, len(self.seconds))))
            self._last = key, indices[np.argsort(-self.seconds[indices], kind="stable")]
        return self._last[1]
