"""Grouped batches: utterances of one group together, such as a language or a session."""

from __future__ import annotations

import math
from typing import Any

from dataset.samplers.base import column_of, lengths_of, size_of
from dataset.samplers.common.members import Members
from dataset.samplers.common.segments import SegmentBatchSampler


class GroupedBatchSampler(SegmentBatchSampler):
    """Batches of utterances with the same value in a column, every utterance once an epoch, in random order.

    Args:
        dataset: with ``seconds`` and ``column``.
        batch_size: largest number of utterances in a batch.
        max_seconds: None.
        column: column of the groups
    """

    def __init__(self, dataset: Any, batch_size: int | None, max_seconds: float | None, column: str = "speaker"):
        size, count = size_of(batch_size, max_seconds, "grouped"), len(lengths_of(dataset))
        groups = Members(column_of(dataset, column))
        batches = [math.ceil(own / size) for own in groups.sizes.tolist()]
        super().__init__(count, groups.starts[:-1], batches, order=groups.order)
