"""Interfaces of a dataset, a batch sampler and a collate function: what they must have, and what they may offer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

CollateFn = Callable[[list[Any]], Any]
"""From the items of a batch to the batch."""


def offers(value: object, protocol: type) -> bool:
    """Return True if ``value`` has all that a protocol names.

    From Python 3.12 on, ``isinstance`` overlooks a module's submodules, and what a wrapper passes on.
    """
    parts = [part for part in protocol.__mro__ if getattr(part, "_is_protocol", False)]
    names = {name for part in parts for name in (*vars(part), *vars(part).get("__annotations__", {}))}
    return all(hasattr(value, name) for name in names if not name.startswith("_"))


class IndexableDataset(Protocol):
    """Items by index. It may offer any of the protocols below as well."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Any: ...


class HasIds(Protocol):
    """Augmentation is seeded, and unreadable utterances are named, by id; by index without ids."""

    ids: Sequence[str]


class HasSeconds(Protocol):
    """The built-in batch samplers and the feature cache need the length of each utterance."""

    seconds: np.ndarray


class LimitsWorkers(Protocol):
    """A dataset that few worker processes, or none, read fastest."""

    most_workers: int


class HasSources(Protocol):
    """Features of a frozen upstream can be cached if the class that defines ``__getitem__`` offers this too."""

    @property
    def sources(self) -> Sequence[tuple[str, float | None, float | None]] | None:
        """File, start and end in seconds of each item's waveform; None if a waveform may differ between accesses."""

    def without_audio(self, index: int) -> Mapping[str, Any]:
        """The item without ``wav`` and ``wav_len``."""


class HasVariants(Protocol):
    """Features of items with a few waveforms each, such as three speeds, can be kept if the class that defines
    ``__getitem__`` offers this, and ``without_audio``, too."""

    @property
    def num_variants(self) -> int | None:
        """The number of waveforms that an item may have; None: any number."""

    def draw_variant(self) -> int:
        """The number of a random variant, drawn as ``__getitem__`` draws it."""

    def variant(self, index: int, number: int) -> Mapping[str, Any]:
        """The item with its variant of that number."""


class KeepsWaveforms(Protocol):
    """A dataset whose task reads the waveforms, so that features never take their place."""

    keeps_waveforms: bool


class CacheableDataset(IndexableDataset, HasSeconds, HasSources, Protocol):
    """A dataset whose waveforms are the same at every access, such as :class:`dataset.utterances.Utterances`."""


class BatchSampler(Protocol):
    """Yields the indices of each batch of an epoch."""

    def __iter__(self) -> Iterator[Sequence[int]]: ...


class HasParts(Protocol):
    """A batch sampler each of whose batches has a sub-batch of each of several named sets."""

    weights: Mapping[str, float]
    """By set: how often each of its utterances counts in the loss."""

    def parts(self, seed: int, epoch: int, number: int) -> Mapping[str, tuple[int, Sequence[int]]]:
        """The set's own epoch, and the indices, of each sub-batch of a batch."""


class HasEpochs(Protocol):
    """A sampler whose batches differ between epochs, counted from 0."""

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration."""
