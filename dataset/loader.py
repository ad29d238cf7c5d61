"""The data loader: an endless stream of batches that can start at any batch.

The order of an epoch is a pure function of (seed, epoch), whatever the batch sampler. Augmentation is a pure function
of (seed, epoch, utterance id). The stream therefore starts at any batch at once, and gives the same batches with any
number of workers. One torch DataLoader lives through all epochs, so workers start once and prefetch across the end
of an epoch.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import functools
import multiprocessing
import signal
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

from dataset.protocols import (
    BatchSampler,
    CollateFn,
    HasIds,
    HasParts,
    IndexableDataset,
    LimitsWorkers,
    offers,
)
from dataset.samplers.epochs import epoch_batches
from dataset.seeding import derive, isolated, seed_cpu

Keys = list[tuple[int, int]]
"""The epoch, which augmentation is seeded by, and the index of each utterance of a batch."""


class LoaderError(ValueError):
    """A dataset or a batch sampler that cannot be read batch by batch."""


@dataclasses.dataclass(frozen=True)
class LoaderSettings:
    """Settings of the reading of batches. None of them changes what is in a batch.

    Args:
        num_workers: processes that read; 0 reads in this one. ``dataset.most_workers`` is an upper limit.
        pin_memory: read into page-locked memory, which copies to a GPU faster.
        keep_errors: yield an :class:`Unreadable` for a batch that cannot be read, instead of raising its error.
        make_dataloader: called as torch's DataLoader is.
    """

    num_workers: int = 0
    pin_memory: bool = False
    keep_errors: bool = False
    make_dataloader: Callable[..., DataLoader] = DataLoader


@dataclasses.dataclass
class Unreadable:
    """A batch that could not be read: the error, the utterances' ids and the traceback as text."""

    error: Exception
    ids: list[str]
    trace: str


@dataclasses.dataclass
class Place:
    """The position of a batch in the data.

    With several processes, each takes its own batch of a round.

    Args:
        epoch: from 0.
        done: batches of the epoch that are done after this round.
        batches: batches in the epoch.
        real: False if the epoch ended before this process's turn. Its batch is then a copy of another's, and must
            get no weight.
        sets: the weight of each set, if the batch is a dict of sub-batches by set.
    """

    epoch: int
    done: int
    batches: int
    real: bool
    sets: Mapping[str, float] | None = None

    @property
    def last(self) -> bool:
        """True if the epoch ends with this round."""
        return self.done == self.batches


def require_indexable(dataset: Any) -> None:
    """Raise a LoaderError if the dataset is an IterableDataset: a training that resumes needs items by index."""
    if isinstance(dataset, IterableDataset):
        raise LoaderError(
            f"{type(dataset).__name__} is an IterableDataset, which cannot be read by index, so that a training could "
            "not resume; return a dataset with __len__ and __getitem__ from build_dataset"
        )


def require_readable(batch: Any) -> Any:
    """Return the batch, or raise the error of an :class:`Unreadable`, alone or as a sub-batch.

    The traceback of its worker is added as a note.
    """
    for part in (batch, *batch.values()) if isinstance(batch, Mapping) else (batch,):
        if isinstance(part, Unreadable):
            if hasattr(part.error, "add_note"):
                part.error.add_note(part.trace)
            raise part.error
    return batch


def train_stream(
    dataset: IndexableDataset,
    batch_sampler: BatchSampler,
    collate_fn: CollateFn,
    *,
    seed: int,
    epoch: int = 0,
    position: int = 0,
    rank: int = 0,
    size: int = 1,
    settings: LoaderSettings = LoaderSettings(),
) -> Iterator[tuple[Place, Any]]:
    """Return every batch with its place, without end, from batch ``position`` of ``epoch`` on.

    If the sampler has parts (:class:`dataset.protocols.HasParts`), a batch is a dict of sub-batches by set.
    The workers start at once. Process ``rank`` of ``size`` gets each ``size``-th batch; all processes get equally many.

    Raises:
        LoaderError: the dataset cannot be read by index, or the sampler gives no batch.
        Exception: the error of reading an utterance, from any worker, unless ``settings.keep_errors``.
    """
    keys = _TrainKeys(batch_sampler, seed, epoch=epoch, position=position, rank=rank, size=size)
    batches = iter(_dataloader(_Reader(dataset, collate_fn, seed), keys, settings))
    return ((keys.places.popleft(), batch if settings.keep_errors else require_readable(batch)) for batch in batches)


def eval_stream(
    dataset: IndexableDataset,
    batches: Sequence[Sequence[int]],
    collate_fn: CollateFn,
    settings: LoaderSettings = LoaderSettings(),
) -> Iterator[Any]:
    """Yield the batches of these indices once, in order. Errors as in :func:`train_stream`."""
    keys = [[(0, index) for index in batch] for batch in batches]
    settings = dataclasses.replace(settings, num_workers=min(settings.num_workers, len(keys)))
    for batch in _dataloader(_Reader(dataset, collate_fn, 0), keys, settings):
        yield batch if settings.keep_errors else require_readable(batch)


class _TrainKeys:
    """The batch sampler of the stream: yields (epoch, index) keys, by set if there are sets, and queues each place."""

    def __init__(self, batch_sampler: BatchSampler, seed: int, *, epoch: int, position: int, rank: int, size: int):
        self.batch_sampler, self.seed = batch_sampler, seed
        self.epoch, self.position = epoch, position
        self.rank, self.size = rank, size
        self.sets = dict(batch_sampler.weights) if offers(batch_sampler, HasParts) else None
        self.places: deque[Place] = deque()

    def __iter__(self) -> Iterator[Keys | dict[str, Keys]]:
        epoch, start = self.epoch, self.position
        while True:
            batches = epoch_batches(self.batch_sampler, self.seed, epoch)
            if not batches:
                raise LoaderError(
                    "the batch sampler of the training set gives no batch; check build_batch_sampler.train"
                )
            for first in range(start, len(batches), self.size):
                real = first + self.rank < len(batches)
                done = min(first + self.size, len(batches))
                self.places.append(Place(epoch, done, len(batches), real, self.sets))
                number = first + self.rank if real else first
                if self.sets is None:
                    yield [(epoch, index) for index in batches[number]]
                else:
                    parts = self.batch_sampler.parts(self.seed, epoch, number)
                    yield {name: [(own, index) for index in indices] for name, (own, indices) in parts.items()}
            epoch, start = epoch + 1, 0


class _Reader(Dataset):
    """Reads a batch of a dataset at once, with one thread and each utterance under its own seed."""

    def __init__(self, dataset: IndexableDataset, collate_fn: CollateFn, seed: int):
        require_indexable(dataset)
        self.dataset, self.collate_fn, self.seed = dataset, collate_fn, seed
        self.ids = dataset.ids if offers(dataset, HasIds) else None

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitems__(self, keys: Keys | dict[str, Keys]) -> Any:
        if isinstance(keys, dict):
            return {name: self._batch(own) for name, own in keys.items()}
        return self._batch(keys)

    def _batch(self, keys: Keys) -> Any:
        in_worker = torch.utils.data.get_worker_info() is not None
        try:
            with contextlib.nullcontext() if in_worker else _as_in_a_worker():
                return self.collate_fn([self._item(epoch, index) for epoch, index in keys])
        except Exception as error:
            ids = [self._id(index) for _, index in keys]
            return Unreadable(_portable(error) if in_worker else error, ids, traceback.format_exc())

    def _item(self, epoch: int, index: int) -> Any:
        seed_cpu(derive(self.seed, epoch, index if self.ids is None else self._id(index)))
        return self.dataset[index]

    def _id(self, index: int) -> str:
        return str(index if self.ids is None else self.ids[index])


@contextlib.contextmanager
def _as_in_a_worker() -> Iterator[None]:
    """Read in the main process as a worker would: with one thread, leaving the main generators alone."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with isolated():
            yield
    finally:
        torch.set_num_threads(threads)


def _portable(error: Exception) -> Exception:
    """Return a copy of the error that can be pickled to another process; a RuntimeError if its class cannot."""
    if isinstance(error, OSError) and error.errno is not None:
        return type(error)(error.errno, error.strerror, error.filename)
    try:
        copy = type(error)(*error.args)
        if str(copy) == str(error) and all(isinstance(a, (str, int, float)) for a in error.args):
            return copy
    except Exception:
        pass
    return RuntimeError(f"{type(error).__name__}: {error}")


def _dataloader(reader: _Reader, keys: Any, settings: LoaderSettings) -> DataLoader:
    num_workers = settings.num_workers
    if offers(reader.dataset, LimitsWorkers):
        num_workers = min(num_workers, reader.dataset.most_workers)
    if num_workers:
        _kill_workers_at_exit()
    return settings.make_dataloader(
        reader,
        batch_sampler=keys,
        collate_fn=_identity,
        num_workers=num_workers,
        pin_memory=settings.pin_memory,
        worker_init_fn=_ignore_signals,
        generator=torch.Generator(),  # its own, so that starting workers does not draw from the training's
        prefetch_factor=4 if num_workers else None,
    )


def _identity(batch: Any) -> Any:
    return batch


@functools.cache
def _kill_workers_at_exit() -> None:
    """Kill the workers of streams that are open when the interpreter exits, as after an error that nobody handles.

    Python terminates them with the SIGTERM that they ignore, and then waits for them.
    """
    atexit.register(lambda: [child.kill() for child in multiprocessing.active_children() if child.daemon])


def _ignore_signals(worker: int) -> None:
    """Ignore SIGINT and SIGTERM in workers; they reach the whole process group, and the main process handles them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
