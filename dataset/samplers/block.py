"""Blocks: batches that are closed once their utterances are long enough together."""

from __future__ import annotations

from typing import Any

import numpy as np

from dataset.samplers.base import by_length, lengths_of
from dataset.samplers.common.segments import SegmentBatchSampler


class BlockBatchSampler(SegmentBatchSampler):
    """Batches of neighbours by length, closed when their summed length reaches ``max_seconds``, in random order.

    Padding does not count, and the last utterance may exceed the sum, as in SpeeChain's BlockIterator.

    Args:
        dataset: with ``seconds``.
        batch_size: largest number of utterances in a batch; None: no limit.
        max_seconds: summed length at which a batch is closed.
    """

    def __init__(self, dataset: Any, batch_size: int | None, max_seconds: float | None):
        if max_seconds is None or not max_seconds > 0:
            raise ValueError(f"max_seconds is {max_seconds}: block needs a number above 0")
        seconds = lengths_of(dataset)
        order = by_length(seconds, dataset)
        sums, starts, place = np.cumsum(seconds[order]), [], 0
        while place < len(order):
            starts.append(place)
            before = sums[place - 1] if place else 0.0
            end = int(np.searchsorted(sums, before + max_seconds)) + 1
            place = end if batch_size is None else min(end, place + batch_size)
        super().__init__(len(seconds), starts, np.ones(len(starts), np.int64), order=order, shuffle_within=False)
