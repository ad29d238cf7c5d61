"""Balanced batches: every class equally often."""

from __future__ import annotations

from typing import Any

import numpy as np

from dataset.samplers.base import column_of, lengths_of, size_of
from dataset.samplers.common.drawn import DrawnBatchSampler
from dataset.samplers.common.members import Members
from dataset.samplers.common.permutation import Permutation

CLASSES = 5  # part of the keys of permutations


class BalancedBatchSampler(DrawnBatchSampler):
    """Every class of a column equally often, up to one, in an epoch of as many utterances as there are.

    Utterances of rare classes come several times, of frequent ones a part, the others in the epochs after. No
    utterance comes again before all of its class did.

    Args:
        dataset: with ``seconds`` and ``column``.
        batch_size: utterances in a batch.
        max_seconds: None.
        column: column of the classes
    """

    def __init__(self, dataset: Any, batch_size: int | None, max_seconds: float | None, column: str = "label"):
        super().__init__(lengths_of(dataset), size_of(batch_size, max_seconds, "balanced"))
        self.members = Members(column_of(dataset, column))

    def drawn(self, seed: int, epoch: int, places: np.ndarray) -> np.ndarray:
        """The utterances at some places of an epoch."""
        places = places + epoch * len(self.seconds)
        rounds, turns = np.divmod(places, len(self.members))  # each round has every class once
        classes = np.empty(len(places), dtype=np.int64)
        for number in np.unique(rounds):
            own = rounds == number
            classes[own] = Permutation(len(self.members), seed, CLASSES, int(number))(turns[own])
        return self.members.visited(seed, classes, rounds)
