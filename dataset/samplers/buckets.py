"""Which utterances form a batch, and in which order.

Both samplers are pure functions of (seed, epoch): they draw from a generator of their own and keep no
position, so a resumed run plans its epoch again and goes on at any batch.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

_SPREAD = 0.1  # lengths are multiplied by 1 +- this before sorting, so that each epoch has other neighbours
_ROUNDING = 1 + 1e-9  # three utterances of 0.1 s fit into 0.3 s


class FixedBatchSampler(Sampler[list[int]]):
    """Batches of ``batch_size`` utterances in the order of the data, or shuffled anew each epoch.

    Args:
        length: number of utterances.
        drop_last: leave out a last batch that is not full.

    Raises:
        ValueError: an argument out of range; ``drop_last`` where not even one batch is full.
    """

    def __init__(
        self, length: int, batch_size: int, shuffle: bool = False, seed: int = 0, drop_last: bool = False
    ) -> None:
        self.length = _whole("length", length, 1)
        self.batch_size = _whole("batch_size", batch_size, 1)
        self.shuffle = shuffle
        self.seed = _whole("seed", seed, 0)
        self.drop_last = drop_last
        self.epoch = 0
        if drop_last and self.length < self.batch_size:
            raise ValueError(
                f"drop_last with {length} utterances and batch_size {batch_size} leaves no batch at all; "
                "use a smaller batch_size or turn drop_last off"
            )

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, from 0, whose order the next iteration has."""
        self.epoch = _whole("epoch", epoch, 0)

    def __len__(self) -> int:
        full, rest = divmod(self.length, self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[list[int]]:
        order = np.arange(self.length)
        if self.shuffle:
            order = _generator(self.seed, self.epoch).permutation(self.length)
        for batch in range(len(self)):
            yield order[batch * self.batch_size : (batch + 1) * self.batch_size].tolist()


class BucketBatchSampler(Sampler[list[int]]):
    """Batches of utterances of similar length, every utterance exactly once an epoch.

    Utterances are sorted by length, longest first, so that a batch that does not fit into memory shows at
    once. A batch is closed when it has ``batch_size`` utterances, or when one more would make its padded area
    (count times longest) exceed ``max_seconds``; an utterance longer than that stands alone.

    Args:
        seconds: length of each utterance; zero is allowed.
        batch_size: most utterances in a batch; None for no limit.
        max_seconds: largest padded area of a batch in seconds; None for no limit. One of the two is needed.
        shuffle: each epoch has other neighbours (a random factor of up to 10 % on each length before sorting)
            and a random order of batches; their number may differ by a few between epochs.
        balance: the class of each utterance. Every class then comes up equally often in an epoch, which is as
            long as before: utterances of rare classes several times, of frequent ones some, others each epoch.
            Needs ``shuffle``.

    Raises:
        ValueError: an argument out of range; both limits None; a length that is negative or not finite;
            ``balance`` without ``shuffle`` or of another length.
    """

    def __init__(
        self,
        seconds: Sequence[float] | np.ndarray,
        batch_size: int | None = None,
        max_seconds: float | None = None,
        shuffle: bool = False,
        seed: int = 0,
        balance: Sequence[str] | None = None,
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
            raise ValueError("neither batch_size nor max_seconds is given; at least one must limit a batch")
        if max_seconds is not None and not (math.isfinite(max_seconds) and max_seconds > 0):
            raise ValueError(f"max_seconds must be a finite number above 0, or None; got {max_seconds}")
        self.batch_size = None if batch_size is None else _whole("batch_size", batch_size, 1)
        self.max_seconds = max_seconds
        if balance is not None and (not shuffle or len(balance) != len(self.seconds)):
            raise ValueError(
                f"balance draws utterances, so it needs shuffle (got {shuffle}) and a class for each of "
                f"{len(self.seconds)} utterances (got {len(balance)})"
            )
        self.shuffle = shuffle
        self.classes = None if balance is None else np.unique(np.asarray(balance), return_inverse=True)[1]
        self.seed = _whole("seed", seed, 0)
        self.epoch = 0
        self._planned: tuple[tuple[int, int], np.ndarray, np.ndarray] | None = None

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, from 0, whose batches the next iteration has."""
        self.epoch = _whole("epoch", epoch, 0)

    def __len__(self) -> int:
        return len(self._plan()[1])

    def __iter__(self) -> Iterator[list[int]]:
        order, bounds = self._plan()
        for begin, end in bounds.tolist():
            yield order[begin:end].tolist()

    def _plan(self) -> tuple[np.ndarray, np.ndarray]:
        """Utterances in order (N,), and [begin, end) of each batch in it (M, 2); kept for this epoch."""
        if self._planned is not None and self._planned[0] == (self.seed, self.epoch):
            return self._planned[1:]
        generator = _generator(self.seed, self.epoch) if self.shuffle else None
        drawn = np.arange(len(self.seconds)) if self.classes is None else _balanced(self.classes, generator)
        keys = self.seconds[drawn]
        if generator is not None:
            keys = keys * generator.uniform(1 - _SPREAD, 1 + _SPREAD, len(keys))
        order = drawn[np.argsort(-keys, kind="stable")]
        bounds = self._cut(self.seconds[order].tolist())
        if generator is not None:
            bounds = generator.permutation(bounds)
        self._planned = ((self.seed, self.epoch), order, bounds)
        return order, bounds

    def _cut(self, lengths: list[float]) -> np.ndarray:
        most = len(lengths) if self.batch_size is None else self.batch_size
        area = math.inf if self.max_seconds is None else self.max_seconds * _ROUNDING
        begins, begin, longest = [0], 0, 0.0
        for index, length in enumerate(lengths):
            count = index - begin
            grown = length if length > longest else longest  # a random factor may put a longer one behind
            if count and (count == most or (count + 1) * grown > area):
                begins.append(index)
                begin, grown = index, length
            longest = grown
        return np.stack([begins, begins[1:] + [len(lengths)]], axis=1)


def _balanced(classes: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """As many utterances as there are, (N,), every class equally often (up to one), none twice before all once."""
    members = [np.flatnonzero(classes == number) for number in range(classes.max() + 1)]
    share, rest = divmod(len(classes), len(members))
    sizes = share + (generator.permutation(len(members)) < rest)
    rounds = [[generator.permutation(own) for _ in range(-(-size // len(own)))] for own, size in zip(members, sizes)]
    return np.concatenate([np.concatenate(own or [[]])[:size] for own, size in zip(rounds, sizes)]).astype(np.int64)


def _generator(seed: int, epoch: int) -> np.random.Generator:
    return np.random.default_rng([seed, epoch])


def _whole(name: str, value: int, least: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or number < least:
        raise ValueError(f"{name} must be a whole number of at least {least}; got {value!r}")
    return number
