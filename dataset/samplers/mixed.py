"""Mixed batches: several corpora, or other groups, in fixed parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dataset.samplers.base import column_of, lengths_of, size_of
from dataset.samplers.common.drawn import DrawnBatchSampler
from dataset.samplers.common.members import Members
from dataset.samplers.common.permutation import Permutation

PATTERN = 1000  # places in which the parts are exact
PLACES = 8  # part of the keys of permutations


class MixedBatchSampler(DrawnBatchSampler):
    """Utterances of each value of a column in fixed parts, in an epoch of as many utterances as there are.

    In every 1000 places the parts are exact, to a thousandth. A small set comes several times in an epoch, a large
    one in part; no utterance comes again before all of its set did.

    Args:
        dataset: with ``seconds`` and ``column``.
        batch_size: utterances in a batch.
        max_seconds: None.
        parts: part of each value, e.g. {digits: 0.3, sentences: 0.7}; null: all values alike
        column: column of the values
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None,
        max_seconds: float | None,
        parts: dict[str, float] | None = None,
        column: str = "corpus",
    ):
        super().__init__(lengths_of(dataset), size_of(batch_size, max_seconds, "mixed"))
        values = column_of(dataset, column)
        names = sorted(set(values.tolist()))
        self.members = Members(values)
        self.places = _places(names, parts, column)

    def drawn(self, seed: int, epoch: int, places: np.ndarray) -> np.ndarray:
        """The utterances at some places of an epoch."""
        rounds, turns = np.divmod(places + epoch * len(self.seconds), PATTERN)
        sets, visits = np.empty(len(places), dtype=np.int64), np.empty(len(places), dtype=np.int64)
        for number in np.unique(rounds):
            own = rounds == number
            pattern, ranks = self._pattern(seed, int(number))
            sets[own], visits[own] = pattern[turns[own]], ranks[turns[own]]
        return self.members.visited(seed, sets, rounds * self.places[sets] + visits)

    def _pattern(self, seed: int, number: int) -> tuple[np.ndarray, np.ndarray]:
        """The set of each of 1000 places, and how many of the same set come before it."""
        order = Permutation(PATTERN, seed, PLACES, number)(np.arange(PATTERN))
        pattern = np.searchsorted(np.cumsum(self.places), order, side="right")
        ranks = np.empty(PATTERN, dtype=np.int64)
        for number in range(len(self.places)):
            own = pattern == number
            ranks[own] = np.arange(own.sum())
        return pattern, ranks


def _places(names: list[str], parts: Mapping[str, float] | None, column: str) -> np.ndarray:
    """The number of 1000 places that each value has.

    Raises:
        ValueError: a value has no part, or a part that is none.
    """
    if parts is not None and (set(parts) != set(names) or not all(part > 0 for part in parts.values())):
        raise ValueError(
            f"parts is {dict(parts)}: expected a number above 0 for each value of {column!r}, which are"
            f" {', '.join(names)}"
        )
    if len(names) > PATTERN:
        raise ValueError(f"column {column!r} has {len(names)} values; mixed takes at most {PATTERN}")
    wanted = np.array([1.0 if parts is None else float(parts[name]) for name in names])
    wanted = wanted / wanted.sum() * PATTERN
    places = np.maximum(1, np.floor(wanted)).astype(np.int64)
    for index in np.argsort(-(wanted - places), kind="stable")[: max(0, PATTERN - int(places.sum()))]:
        places[index] += 1  # what rounding left goes to the largest rests
    while places.sum() > PATTERN:
        places[places.argmax()] -= 1
    return places
