"""Random batches: the fair sample that plain stochastic gradient descent takes."""

from __future__ import annotations

import math
from typing import Any

from dataset.samplers.base import lengths_of, size_of
from dataset.samplers.common.segments import SegmentBatchSampler


class RandomBatchSampler(SegmentBatchSampler):
    """Batches of utterances of any length together, in another order each epoch.

    Args:
        dataset: with ``seconds``.
        batch_size: utterances in a batch.
        max_seconds: None.
    """

    def __init__(self, dataset: Any, batch_size: int | None, max_seconds: float | None):
        size, count = size_of(batch_size, max_seconds, "random"), len(lengths_of(dataset))
        super().__init__(count, [0], [math.ceil(count / size)])
