"""Sub-batches: a batch of each of several named sets at once, each from a sampler of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dataset.samplers.base import NumberedBatchSampler, whole


class Members:
    """The utterances of one set, as a dataset for its sampler.

    Args:
        dataset: with ``seconds`` and perhaps ``column``.
        indices: of the set's utterances, int (N,).

    Attributes:
        seconds: float64 (N,).
    """

    def __init__(self, dataset: Any, indices: np.ndarray):
        self.dataset, self.indices = dataset, indices
        self.seconds = np.asarray(dataset.seconds, dtype=np.float64)[indices]

    def __len__(self) -> int:
        return len(self.indices)

    def column(self, name: str) -> Sequence[str]:
        """A column of the set's rows."""
        return np.asarray(self.dataset.column(name))[self.indices]


class SetsBatchSampler(NumberedBatchSampler):
    """A sub-batch of each set in every batch.

    Each set goes through its own epochs, from one to the next where the last one ended: the n-th batch of a training
    holds the n-th of each set's. An epoch is as long as that of the set with the most batches.

    Args:
        samplers: by set, each over the :class:`Members` of the set.
        indices: of each set's utterances, int (N,).
        weights: by set: how often each of its utterances counts in the loss.
        batches: batches in an epoch; None: all of the longest set.
    """

    def __init__(
        self,
        samplers: Mapping[str, NumberedBatchSampler],
        indices: Mapping[str, np.ndarray],
        weights: Mapping[str, float],
        batches: int | None = None,
    ):
        self.samplers, self.indices, self.weights = dict(samplers), dict(indices), dict(weights)
        longest = max(len(sampler) for sampler in self.samplers.values())
        self.batches = longest if batches is None else whole("batches_per_epoch", batches, 1)

    def __len__(self) -> int:
        return self.batches

    def parts(self, seed: int, epoch: int, number: int) -> dict[str, tuple[int, list[int]]]:
        """The sub-batch of each set in one batch: the set's own epoch, and the indices of the utterances."""
        parts = {}
        for name, sampler in self.samplers.items():
            own_epoch, place = divmod(epoch * len(self) + number, len(sampler))
            parts[name] = own_epoch, self.indices[name][sampler.batch(seed, own_epoch, place)].tolist()
        return parts

    def batch(self, seed: int, epoch: int, number: int) -> list[int]:
        """The indices of the utterances of one batch, set by set."""
        return [index for _, indices in self.parts(seed, epoch, number).values() for index in indices]

    def utterances(self, seed: int, batches: int) -> Sequence[int]:
        """The indices, in order, of the utterances in the first ``batches`` batches of a training."""
        of_sets = (self.indices[n][list(s.utterances(seed, batches))] for n, s in self.samplers.items())
        return np.sort(np.concatenate(list(of_sets))).tolist()
