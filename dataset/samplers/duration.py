"""Batches of a total length: as many utterances as fit, with little padding."""

from __future__ import annotations

from typing import Any

from dataset.samplers.base import Limits, by_length, lengths_of
from dataset.samplers.bucket import similar_lengths
from dataset.samplers.common.segments import SegmentBatchSampler


class DurationBatchSampler(SegmentBatchSampler):
    """Batches of as many utterances of similar length as fit into ``max_seconds``, in another order each epoch.

    Args:
        dataset: with ``seconds``.
        batch_size: largest number of utterances in a batch; None: no limit.
        max_seconds: largest number of utterances times the longest of them. A longer utterance is a batch of its own.
        spread: part by which lengths in a batch may differ; less of it pads less, and mixes less
        quadratic_seconds: length at which attention costs as much as all else, e.g. 30: long utterances then count
            for more; null: they do not
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None,
        max_seconds: float | None,
        spread: float = 0.1,
        quadratic_seconds: float | None = None,
    ):
        if max_seconds is None:
            raise ValueError("max_seconds is None: duration needs it")
        if not spread > 0:
            raise ValueError(f"spread is {spread}; expected a number above 0")
        seconds, limits = lengths_of(dataset), Limits(batch_size, max_seconds, quadratic_seconds)
        order = by_length(seconds, dataset)
        starts, batches = similar_lengths(seconds[order], limits, spread=spread)
        super().__init__(len(seconds), starts, batches, order=order)
