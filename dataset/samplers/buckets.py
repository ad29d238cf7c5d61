"""Bucket batch sampler: batches of utterances of similar length.

The batches are a pure function of (seed, epoch), drawn from a generator of their own. No position is kept: a resumed
run plans its epoch again and continues at any batch.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

_SPREAD = 0.1  # lengths are multiplied by up to 1 +- this before sorting, so that batches differ between epochs
_ROUNDING = 1 + 1e-9  # so that three utterances of 0.1 s fit into 0.3 s


class BucketBatchSampler(Sampler[list[int]]):
    """Batches of utterances of similar length, every utterance exactly once an epoch.

    Utterances are sorted by length, longest first, so that a batch that does not fit into memory fails at once. A
    batch is closed when it has ``batch_size`` utterances, or when one more would make its padded area (number of
    utterances times the longest) exceed ``max_seconds``. An utterance longer than that is a batch of its own.

    Args:
        seconds: length of each utterance; zero is allowed.
        batch_size: largest number of utterances in a batch; None: no limit.
        max_seconds: largest padded area of a batch in seconds; None: no limit. One of the two is needed.
        shuffle: sort by lengths times a random factor of up to 10 %, and put the batches in a random order. The
            number of batches may differ by a few between epochs.
        balance: the class of each utterance. Every class is then drawn equally often in an epoch of the same length:
            utterances of rare classes several times, of frequent classes only a part, another one each epoch.
            Needs ``shuffle``.
        any_length: put utterances of any length together, in random order, rather than those of similar length. Needs
            ``shuffle``.

    Raises:
        ValueError: an argument is out of range, both limits are None, a length is negative or not finite,
            ``balance`` or ``any_length`` comes without ``shuffle``, or ``balance`` has another length.
    """

    def __init__(
        self,
        seconds: Sequence[float] | np.ndarray,
        batch_size: int | None = None,
        max_seconds: float | None = None,
        shuffle: bool = False,
        seed: int = 0,
        balance: Sequence[str] | None = None,
        any_length: bool | None = None,
    ) -> None:
        self.seconds = np.asarray(seconds, dtype=np.float64)
        if self.seconds.ndim != 1 or not len(self.seconds):
            raise ValueError(f"seconds must be a list of at least one length; got shape {self.seconds.shape}")
        bad = np.flatnonzero(~(np.isfinite(self.seconds) & (self.seconds >= 0)))
        if len(bad):
            raise ValueError(
                f"seconds of utterance {bad[0]} is {self.seconds[bad[0]]}; expected a finite number from 0"
            )
        if batch_size is None and max_seconds is None:
            raise ValueError("batch_size and max_seconds are both None; set at least one of them")
        if max_seconds is not None and not (math.isfinite(max_seconds) and max_seconds > 0):
            raise ValueError(f"max_seconds must be a finite number above 0, or None; got {max_seconds}")
        self.batch_size = None if batch_size is None else _whole("batch_size", batch_size, 1)
        self.max_seconds = max_seconds
        if balance is not None and (not shuffle or len(balance) != len(self.seconds)):
            raise ValueError(
                f"balance needs shuffle (got {shuffle}) and a class for each of {len(self.seconds)} utterances "
                f"(got {len(balance)})"
            )
        if any_length and not shuffle:
            raise ValueError("any_length needs shuffle: without it, the same utterances would meet in every epoch")
        self.shuffle, self.any_length = shuffle, any_length
        self.classes = None if balance is None else np.unique(np.asarray(balance), return_inverse=True)[1]
        self.seed = _whole("seed", seed, 0)
        self.epoch = 0
        self._planned: tuple[tuple[int, int], np.ndarray, np.ndarray] | None = None

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration, from 0."""
        self.epoch = _whole("epoch", epoch, 0)

    def __len__(self) -> int:
        return len(self._plan()[1])

    def __iter__(self) -> Iterator[list[int]]:
        order, bounds = self._plan()
        for begin, end in bounds.tolist():
            yield order[begin:end].tolist()

    def _plan(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the utterances in order (N,) and [begin, end) of each batch (M, 2), remembered for this epoch."""
        if self._planned is not None and self._planned[0] == (self.seed, self.epoch):
            return self._planned[1:]
        generator = _generator(self.seed, self.epoch) if self.shuffle else None
        drawn = np.arange(len(self.seconds)) if self.classes is None else _balanced(self.classes, generator)
        keys = self.seconds[drawn]
        if generator is not None:
            factors = generator.uniform(1 - _SPREAD, 1 + _SPREAD, len(keys))
            keys = factors if self.any_length else keys * factors
        order = drawn[np.argsort(-keys, kind="stable")]
        bounds = self._cut(self.seconds[order].tolist())
        if generator is not None:
            bounds = generator.permutation(bounds)
        self._planned = ((self.seed, self.epoch), order, bounds)
        return order, bounds

    def _cut(self, lengths: list[float]) -> np.ndarray:
        """Return [begin, end) of each batch (M, 2) for utterances in this order."""
        max_count = len(lengths) if self.batch_size is None else self.batch_size
        max_area = math.inf if self.max_seconds is None else self.max_seconds * _ROUNDING
        begins, begin, longest = [0], 0, 0.0
        for index, length in enumerate(lengths):
            count = index - begin
            padded = max(longest, length)  # the order is only roughly by length
            if count and (count == max_count or (count + 1) * padded > max_area):
                begins.append(index)
                begin, padded = index, length
            longest = padded
        return np.stack([begins, begins[1:] + [len(lengths)]], axis=1)


def _balanced(classes: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Draw N of N utterances, each class equally often (up to one); a class is used up before one is drawn again."""
    members = [np.flatnonzero(classes == number) for number in range(classes.max() + 1)]
    share, rest = divmod(len(classes), len(members))
    sizes = share + (generator.permutation(len(members)) < rest)
    drawn = []
    for utterances, size in zip(members, sizes):
        rounds = [generator.permutation(utterances) for _ in range(math.ceil(size / len(utterances)))]
        drawn.append(np.concatenate(rounds or [np.empty(0, np.int64)])[:size])
    return np.concatenate(drawn)


def _generator(seed: int, epoch: int) -> np.random.Generator:
    return np.random.default_rng([seed, epoch])


def _whole(name: str, value: int, least: int) -> int:
    """Return ``value`` if it is a whole number of at least ``least``."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or number < least:
        raise ValueError(f"{name} must be a whole number of at least {least}; got {value!r}")
    return number
