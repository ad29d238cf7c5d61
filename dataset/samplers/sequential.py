"""Batches in the order of the data."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dataset.samplers.base import lengths_of, size_of
from dataset.samplers.common.segments import SegmentBatchSampler


class SequentialBatchSampler(SegmentBatchSampler):
    """Batches of neighbours in the metadata, the same in every epoch.

    Args:
        dataset: with ``seconds``.
        batch_size: utterances in a batch.
        max_seconds: None.
    """

    def __init__(self, dataset: Any, batch_size: int | None, max_seconds: float | None):
        size, count = size_of(batch_size, max_seconds, "sequential"), len(lengths_of(dataset))
        starts = np.arange(0, count, size)
        super().__init__(
            count, starts, np.ones(math.ceil(count / size), np.int64), shuffle_within=False, shuffle_batches=False
        )
