"""Batches as an endless, resumable stream.

The order of an epoch is a pure function of (seed, epoch), whatever the batch sampler; what is random about an
utterance is one of (seed, epoch, its id). So the stream starts anywhere at once, and gives the same batches with any
number of workers. One loader lives through all epochs: workers are started once and read ahead over an epoch's end.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import signal
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from dataset.seeding import derive, isolated, seed_cpu


@dataclasses.dataclass
class Unreadable:
    """What a loader gives in place of a batch that it could not make."""

    error: Exception
    ids: list[str]
    trace: str


@dataclasses.dataclass
class Place:
    """Where a batch stands: its epoch, how many of the epoch's batches are behind once it is taken, and of how many.

    Of several processes each takes its own batch of a round; ``real`` is false where the epoch ended before this one's
    turn: its batch is another's, to be given no weight.
    """

    epoch: int
    behind: int
    batches: int
    real: bool = True

    @property
    def last(self) -> bool:
        """Whether the epoch ends with this batch."""
        return self.behind == self.batches


def epoch_batches(batch_sampler: Any, seed: int, epoch: int) -> list[list[int]]:
    """The batches of one epoch, a function of (seed, epoch) alone for samplers of torch's kind too.

    A sampler, and the samplers inside it, are told the epoch where they have ``set_epoch``; a ``seed`` or a
    ``generator`` of theirs is set from ``seed``; what they draw from the global generators comes from there as well.
    """
    drawn = derive(seed, epoch, "order")
    inner: Any = batch_sampler
    while inner is not None:
        if isinstance(getattr(inner, "seed", None), int):
            inner.seed = seed
        if isinstance(getattr(inner, "generator", None), torch.Generator):
            inner.generator.manual_seed(drawn)
        if hasattr(inner, "set_epoch"):
            inner.set_epoch(epoch)
        inner = getattr(inner, "sampler", None) or getattr(inner, "batch_sampler", None)
    with isolated(drawn):
        return [list(batch) for batch in batch_sampler]


def utterances_of(batch_sampler: Any, seed: int, count: int) -> list[int]:
    """The utterances in the first ``count`` batches of a training, over its epochs.

    The search ends with an epoch that brings no new one: of a sampler that draws, few are then left.
    """
    found: set[int] = set()
    for epoch in itertools.count():
        batches = epoch_batches(batch_sampler, seed, epoch)[:count]
        new = set(itertools.chain.from_iterable(batches)) - found
        if not new:
            return sorted(found)
        found |= new
        count -= len(batches)


class _Items(Dataset):
    """A dataset read a batch at a time, each utterance under its own seed and with one thread."""

    def __init__(self, dataset: Any, collate_fn: Callable, seed: int):
        self.dataset, self.collate_fn, self.seed = dataset, collate_fn, seed
        self.ids = getattr(dataset, "ids", None)

    def __len__(self) -> int:
        return len(self.dataset)

    def _item(self, epoch: int, index: int) -> Any:
        seed_cpu(derive(self.seed, epoch, index if self.ids is None else str(self.ids[index])))
        return self.dataset[index]

    def __getitems__(self, keys: list[tuple[int, int]]) -> Any:
        in_worker = torch.utils.data.get_worker_info() is not None
        try:
            with contextlib.nullcontext() if in_worker else _alone():
                return self.collate_fn([self._item(epoch, index) for epoch, index in keys])
        except Exception as error:
            ids = [str(index if self.ids is None else self.ids[index]) for _, index in keys]
            return Unreadable(_portable(error) if in_worker else error, ids, traceback.format_exc())


def _portable(error: Exception) -> Exception:
    """``error`` as one that surely crosses to another process: some classes cannot be made from their ``args``."""
    if isinstance(error, OSError) and error.errno is not None:
        return type(error)(error.errno, error.strerror, error.filename)
    try:
        copy = type(error)(*error.args)
        if str(copy) == str(error) and all(isinstance(a, (str, int, float)) for a in error.args):
            return copy
    except Exception:
        pass
    return RuntimeError(f"{type(error).__name__}: {error}")


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Read in the main process as a worker would: one thread, and no trace in the generators."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with isolated():
            yield
    finally:
        torch.set_num_threads(threads)


def _same(batch: Any) -> Any:
    return batch


def _deaf(worker: int) -> None:
    """Let the main process alone answer Ctrl-C and SIGTERM, which reach a whole process group."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _loader(
    items: _Items, batches: Any, num_workers: int, pin_memory: bool, make_dataloader: Callable[..., DataLoader]
) -> DataLoader:
    """The loader; a dataset that is read fastest by few workers, or by none, says so (``most_workers``)."""
    num_workers = min(num_workers, getattr(items.dataset, "most_workers", num_workers))
    return make_dataloader(
        items,
        batch_sampler=batches,
        collate_fn=_same,
        num_workers=num_workers,
        pin_memory=pin_memory,
        worker_init_fn=_deaf,
        generator=torch.Generator(),  # its own, so that starting workers does not draw from the training's
        prefetch_factor=4 if num_workers else None,
    )


def checked(batch: Any) -> Any:
    """A batch; the error that is in its place is raised."""
    if isinstance(batch, Unreadable):
        batch.error.add_note(batch.trace) if hasattr(batch.error, "add_note") else None
        raise batch.error
    return batch


class _Keys:
    """The batch sampler of the stream: notes the place of each batch as it hands out its keys."""

    def __init__(self, batch_sampler: Any, seed: int, epoch: int, position: int, rank: int, size: int):
        self.batch_sampler, self.seed, self.epoch, self.position = batch_sampler, seed, epoch, position
        self.rank, self.size = rank, size
        self.places: deque[Place] = deque()

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch, start = self.epoch, self.position
        while True:
            batches = epoch_batches(self.batch_sampler, self.seed, epoch)
            if not batches:
                raise ValueError("the batch sampler gives no batch: there is nothing to train on")
            for first in range(start, len(batches), self.size):
                real = first + self.rank < len(batches)
                self.places.append(Place(epoch, min(first + self.size, len(batches)), len(batches), real))
                yield [(epoch, index) for index in batches[first + self.rank if real else first]]
            epoch, start = epoch + 1, 0


def train_stream(
    dataset: Any,
    batch_sampler: Any,
    collate_fn: Callable,
    seed: int,
    epoch: int = 0,
    position: int = 0,
    num_workers: int = 0,
    pin_memory: bool = False,
    rank: int = 0,
    size: int = 1,
    keep_errors: bool = False,
    make_dataloader: Callable[..., DataLoader] = DataLoader,
) -> Iterator[tuple[Place, Any]]:
    """Every batch from ``position`` of ``epoch`` on, without end, each with its place.

    Of ``size`` processes, the one numbered ``rank`` sees each ``size``-th batch, every process as many as the others.

    Args:
        keep_errors: give an :class:`Unreadable` for a batch that cannot be read, instead of raising.

    Raises:
        Exception: whatever reading an utterance raised, as itself, from any worker.
    """
    keys = _Keys(batch_sampler, seed, epoch, position, rank, size)
    for batch in _loader(_Items(dataset, collate_fn, seed), keys, num_workers, pin_memory, make_dataloader):
        yield keys.places.popleft(), batch if keep_errors else checked(batch)


def eval_stream(
    dataset: Any,
    batches: list[list[int]],
    collate_fn: Callable,
    num_workers: int = 0,
    pin_memory: bool = False,
    keep_errors: bool = False,
    make_dataloader: Callable[..., DataLoader] = DataLoader,
) -> Iterator[Any]:
    """The given batches of a dataset, once, in order; ``keep_errors`` as in :func:`train_stream`."""
    keys, items = [[(0, index) for index in batch] for batch in batches], _Items(dataset, collate_fn, 0)
    for batch in _loader(items, keys, min(num_workers, len(keys)), pin_memory, make_dataloader):
        yield batch if keep_errors else checked(batch)
