"""Batches by length: for evaluation, and for curricula that begin with short utterances."""

from __future__ import annotations

from typing import Any

import numpy as np

from dataset.samplers.base import Limits, by_length, lengths_of, whole
from dataset.samplers.common.segments import SegmentBatchSampler

ORDERS = ("descending", "ascending", "curriculum")


class SortedBatchSampler(SegmentBatchSampler):
    """Batches of the utterances by length, the same in every epoch, with the least padding.

    From the longest down, a batch that does not fit into memory fails at once.

    Args:
        dataset: with ``seconds``.
        batch_size: largest number of utterances in a batch; None: no limit.
        max_seconds: largest number of utterances times the longest of them; None: no limit.
        order: descending, ascending, or curriculum: ascending first, then the batches in random order
        curriculum_epochs: epochs in ascending order, if the order is curriculum
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None,
        max_seconds: float | None,
        order: str = "descending",
        curriculum_epochs: int = 1,
    ):
        if order not in ORDERS:
            raise ValueError(f"order is {order!r}; expected one of {', '.join(ORDERS)}")
        self.epochs_in_order = whole("curriculum_epochs", curriculum_epochs, 0) if order == "curriculum" else None
        seconds = lengths_of(dataset)
        indices = by_length(seconds, dataset)
        starts = cut(seconds[indices], Limits(batch_size, max_seconds))
        if order != "descending":
            starts, indices = len(indices) - np.append(starts[1:], len(indices))[::-1], indices[::-1]
        super().__init__(
            len(seconds), starts, np.ones_like(starts), order=indices, shuffle_within=False, shuffle_batches=False
        )

    def batch(self, seed: int, epoch: int, number: int) -> list[int]:
        """The indices of the utterances of one batch."""
        self.shuffle_batches = self.epochs_in_order is not None and epoch >= self.epochs_in_order
        return super().batch(seed, epoch, number)


def cut(lengths: np.ndarray, limits: Limits) -> np.ndarray:
    """The first place of each batch (M,), for lengths from the longest down."""
    starts, place = [], 0
    while place < len(lengths):
        starts.append(place)
        place += limits.size(float(lengths[place]))
    return np.array(starts, dtype=np.int64)
