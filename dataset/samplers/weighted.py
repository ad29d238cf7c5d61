"""Weighted batches: utterances as often as a column says."""

from __future__ import annotations

from typing import Any

import numpy as np

from dataset.samplers.base import column_of, lengths_of, size_of
from dataset.samplers.common.drawn import DrawnBatchSampler

DRAWS = 6  # part of the keys of generators


class WeightedBatchSampler(DrawnBatchSampler):
    """Utterances drawn with replacement, each with a probability proportional to its weight.

    Args:
        dataset: with ``seconds`` and ``column``.
        batch_size: utterances in a batch.
        max_seconds: None.
        column: column of the weights, numbers from 0
    """

    def __init__(self, dataset: Any, batch_size: int | None, max_seconds: float | None, column: str = "weight"):
        super().__init__(lengths_of(dataset), size_of(batch_size, max_seconds, "weighted"))
        cells = column_of(dataset, column)
        try:
            weights = cells.astype(np.float64)
        except ValueError as error:
            raise ValueError(f"column {column!r} holds weights, numbers from 0; {error}") from None
        if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
            raise ValueError(f"column {column!r} holds weights, numbers from 0, some above 0; one is another")
        self.sums = np.cumsum(weights)

    def drawn(self, seed: int, epoch: int, places: np.ndarray) -> np.ndarray:
        """The utterances at some places of an epoch."""
        draws = np.random.default_rng([seed, epoch, DRAWS, int(places[0])]).random(len(places))
        return np.searchsorted(self.sums, draws * self.sums[-1], side="right").clip(max=len(self.sums) - 1)
