"""The base of batch samplers: batches by number, each a pure function of (seed, epoch, number)."""

from __future__ import annotations

import abc
import math
import operator
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from torch.utils.data import Sampler

ROUNDING = 1 + 1e-9  # so that three utterances of 0.1 s fit into 0.3 s


class NumberedBatchSampler(Sampler[list[int]], abc.ABC):
    """A batch sampler of which any batch can be asked for, without those before it.

    The number of batches is the same in every epoch. A training resumes at any batch at once, and holds no list of
    them. ``seed`` and ``epoch`` are those of an iteration, as with the samplers of torch.
    """

    seed = 0
    epoch = 0

    @abc.abstractmethod
    def __len__(self) -> int:
        """The number of batches in an epoch."""

    @abc.abstractmethod
    def batch(self, seed: int, epoch: int, number: int) -> list[int]:
        """The indices of the utterances of one batch, ``number`` from 0."""

    def utterances(self, seed: int, batches: int) -> Sequence[int]:
        """The indices, in order, of the utterances in the first ``batches`` batches of a training."""
        indices: set[int] = set()
        for epoch in range(math.ceil(batches / len(self))):
            before = len(indices)
            for number in range(min(len(self), batches - epoch * len(self))):
                indices.update(self.batch(seed, epoch, number))
            if len(indices) == before:
                break
        return sorted(indices)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration, from 0."""
        self.epoch = whole("epoch", epoch, 0)

    def __iter__(self) -> Iterator[list[int]]:
        for number in range(len(self)):
            yield self.batch(self.seed, self.epoch, number)


def lengths_of(dataset: Any) -> np.ndarray:
    """The length of each utterance of a dataset in seconds, float64 (N,).

    Raises:
        ValueError: there is none, or one is negative or not finite.
    """
    seconds = np.asarray(dataset.seconds, dtype=np.float64)
    if seconds.ndim != 1 or not len(seconds):
        raise ValueError(f"seconds must be a list of at least one length; got shape {seconds.shape}")
    bad = np.flatnonzero(~(np.isfinite(seconds) & (seconds >= 0)))
    if len(bad):
        raise ValueError(f"seconds of utterance {bad[0]} is {seconds[bad[0]]}; expected a finite number from 0")
    return seconds


def column_of(dataset: Any, column: str) -> np.ndarray:
    """A column of a dataset's metadata as strings (N,).

    Raises:
        ValueError: the dataset has no such column.
    """
    try:
        return np.asarray(dataset.column(column))
    except AttributeError:
        raise ValueError(f"{type(dataset).__name__} has no method column(name), which gives a column") from None
    except KeyError as error:
        raise ValueError(f"column is {column!r}: the metadata has no such column; {error.args[0]}") from None


def size_of(batch_size: int | None, max_seconds: float | None, name: str) -> int:
    """The size of batches that are limited by it alone.

    Raises:
        ValueError: there is none, or there is another limit.
    """
    if batch_size is None or max_seconds is not None:
        raise ValueError(
            f"batch_size is {batch_size}, max_seconds {max_seconds}: {name} needs batch_size and excludes max_seconds,"
            " which bucket, duration, sorted and block keep"
        )
    return whole("batch_size", batch_size, 1)


class Limits:
    """The limits of a batch: a number of utterances, a padded length, or both.

    Args:
        batch_size: largest number of utterances; None: no limit.
        max_seconds: largest number of utterances times the longest of them; None: no limit.
        quadratic_seconds: the length of which the cost is twice its seconds, as that of attention; None: none is.

    Raises:
        ValueError: both are None, or one is out of range.
    """

    def __init__(self, batch_size: int | None, max_seconds: float | None, quadratic_seconds: float | None = None):
        if batch_size is None and max_seconds is None:
            raise ValueError("batch_size and max_seconds are both None; set at least one of them")
        for name, value in (("max_seconds", max_seconds), ("quadratic_seconds", quadratic_seconds)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be a finite number above 0, or None; got {value}")
        self.count = math.inf if batch_size is None else whole("batch_size", batch_size, 1)
        self.seconds = math.inf if max_seconds is None else max_seconds * ROUNDING
        self.quadratic = quadratic_seconds

    def size(self, longest: float) -> int:
        """The number of utterances in a batch whose longest has this length; at least one."""
        cost = longest if self.quadratic is None else longest + longest**2 / self.quadratic
        return max(1, int(min(self.count, self.seconds / max(cost, 1e-9), 2**31)))


def by_length(seconds: np.ndarray, dataset: Any = None) -> np.ndarray:
    """The indices of utterances, the longest first, int (N,): those that the dataset knows, or else sorted now."""
    known = getattr(dataset, "by_length", None)
    if known is not None and len(known) == len(seconds):
        return known
    order = np.argsort(-seconds, kind="stable")
    return order.astype(np.int32) if len(order) < 2**31 else order


def whole(name: str, value: int, least: int) -> int:
    """Return ``value`` if it is a whole number of at least ``least``; raise a ValueError otherwise."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or number < least:
        raise ValueError(f"{name} must be a whole number of at least {least}; got {value!r}")
    return number
