"""Distributed training: ranks, collectives, and failing together.

``torchrun`` (or ``--nproc N``) sets rank and world size through the environment. Gradients are summed over NCCL on
GPUs. The few numbers that the processes agree on go over gloo, so that no agreement waits for a GPU. If one process
fails, :mod:`problems.engine.runtime.peers.failure_watch` ends the others with the same error.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
import signal
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from problems.engine.runtime import formatting
from problems.engine.runtime.errors import Interrupted, PeerError
from problems.engine.runtime.peers.failure_watch import FailureWatch, waiting
from problems.engine.runtime.peers.lost_peer import lost_peer

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

JOIN = datetime.timedelta(minutes=15)
"""The time in which all processes must have joined, as torchrun gives its agents."""
BUCKET = 1 << 25  # gradient values that are summed over the processes at once


@dataclasses.dataclass(frozen=True)
class World:
    """The place of this process among those that train together.

    Args:
        rank: its number among all.
        size: how many there are.
        local: its number among those of its machine.
        shared: True if it sees the files that the main process writes.
    """

    rank: int = 0
    size: int = 1
    local: int = 0
    shared: bool = True

    @classmethod
    def from_environment(cls, world_size: int = 1, rank: int = 0) -> World:
        """The world that torchrun's variables describe or, without them, the given one."""
        size = int(os.environ.get("WORLD_SIZE", world_size))
        rank = int(os.environ.get("RANK", rank))
        return cls(rank, size, int(os.environ.get("LOCAL_RANK", rank)))

    @property
    def main(self) -> bool:
        """True for the process that decides and displays."""
        return self.rank == 0

    @property
    def writes(self) -> bool:
        """True for the process that writes data and checkpoints: one on each file system."""
        return self.main or (self.local == 0 and not self.shared)

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """This process's share of ``items``; the shares of all processes are disjoint and cover them."""
        return items[self.rank :: self.size]


_world = World()


def world() -> World:
    """The world of this process; a single process before :func:`process_group`."""
    return _world


@contextlib.contextmanager
def process_group(joined: World, device: str) -> Iterator[World]:
    """Join the other processes for the length of a ``with`` block. A single process does nothing.

    An exception inside the block is reported to the others before it is raised.
    """
    global _world
    if joined.size == 1:
        yield joined
        return
    import torch.distributed as dist

    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    os.environ.setdefault("MASTER_PORT", "29500")
    with _default_sigterm():
        store = _store_of_all(joined)
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if device.startswith("cuda") else "gloo",
            store=store,
            rank=joined.rank,
            world_size=joined.size,
            timeout=datetime.timedelta(hours=2),  # the watch notices a failure long before
        )
    _world = joined
    watch = FailureWatch(store, joined.rank)
    try:
        yield joined
        barrier()
    except BaseException as error:
        if isinstance(error, Interrupted):  # all agreed to stop: each ends by itself
            raise
        lost = lost_peer(error, joined.rank)
        watch.report(lost or error)
        if lost is not None:
            raise lost from error
        raise
    finally:
        watch.stop()
        _world = World()
        with contextlib.suppress(Exception):  # others may be gone
            dist.destroy_process_group()


def _store_of_all(joined: World) -> torch.distributed.Store:
    """The store that the processes share, once all of them have joined it.

    Raises:
        PeerError: some did not within :data:`JOIN`.
    """
    import torch.distributed as dist

    try:
        store, *_ = next(dist.rendezvous("env://", joined.rank, joined.size, timeout=JOIN))
        store = dist.PrefixStore(f"soundstage/{_attempt()}", store)
        store.set(f"joined/{joined.rank}", "")
        store.wait([f"joined/{rank}" for rank in range(joined.size)], JOIN)
    except (dist.DistStoreError, dist.DistNetworkError) as error:
        address = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        cause = str(error).splitlines()[0].partition(", keys")[0].rstrip(".")
        raise PeerError(
            f"rank {joined.rank} has waited {formatting.duration(JOIN.total_seconds())} for the {joined.size} processes"
            f" of the run to join at {address} ({cause}); start all of them again"
        ) from error
    return store


def _attempt() -> str:
    """The number of this attempt, which keeps the failures of earlier ones in the same store apart.

    One agent may keep one store over its restarts. Several agents count restarts separately, and make a new store for
    each, so they need no number.
    """
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") if os.environ.get("GROUP_WORLD_SIZE", "1") == "1" else ""


@contextlib.contextmanager
def _default_sigterm() -> Iterator[None]:
    """Let SIGTERM end the process while it waits for the others to join: no Python handler would run."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


def detect_shared_files(folder: Path) -> World:
    """Find out whether this process sees what the main one writes into ``folder``. Every process must call it.

    Returns:
        This process's world with the answer in ``shared``.
    """
    global _world
    if _world.size > 1:
        folder.mkdir(parents=True, exist_ok=True)
        _world = dataclasses.replace(_world, shared=sees_main_files(folder))
    return _world


def sees_main_files(folder: Path) -> bool:
    """Return True if this process sees what the main one writes into ``folder``. Every process must call it."""
    if _world.size == 1:
        return True
    marker = folder / f".shared.{broadcast(uuid.uuid4().hex)}.tmp"  # sweep() removes it after a kill
    if _world.main:
        marker.touch()
    barrier()
    is_visible = marker.exists()
    barrier()
    if _world.main:
        marker.unlink()
    return is_visible


def barrier() -> None:
    """Wait for every process."""
    if _world.size > 1:
        total([0.0])


def total(values: Sequence[float]) -> list[float]:
    """The sum of each number over all processes, the same list on every process."""
    if _world.size == 1:
        return [float(v) for v in values]
    import torch
    import torch.distributed as dist

    tensor = torch.tensor(list(values), dtype=torch.float64)
    with waiting():
        dist.all_reduce(tensor)
    return tensor.tolist()


def any(flag: bool) -> bool:
    """Return True on every process if ``flag`` is True on at least one."""
    return total([flag])[0] > 0


def gather(value: T) -> list[T]:
    """The values of all processes, by rank, on every process."""
    if _world.size == 1:
        return [value]
    import torch.distributed as dist

    values: list[Any] = [None] * _world.size
    with waiting():
        dist.all_gather_object(values, value)
    return values


def broadcast(value: T) -> T:
    """The main process's ``value`` on every process; what the others pass is ignored."""
    if _world.size == 1:
        return value
    import torch.distributed as dist

    values = [value]
    with waiting():
        dist.broadcast_object_list(values, src=0)
    return values[0]


def on_main(function: Callable[[], T]) -> T:
    """Call ``function`` on the main process and return its result on every process.

    An error on the main process reaches the others through the watch.
    """
    return broadcast(function() if _world.main else None)  # type: ignore[return-value, arg-type]


def announce(stage: int | None) -> None:
    """On the main process, name the stage that all processes run next; None: no more."""
    broadcast(stage)


def next_stage() -> int | None:
    """On the other processes, wait for the stage that the main process announces."""
    return broadcast(None)


def broadcast_tensors(tensors: Iterable[torch.Tensor]) -> None:
    """Give every process the main one's values of ``tensors``, in place."""
    if _world.size == 1:
        return
    import torch.distributed as dist

    for tensor in tensors:
        dist.broadcast(tensor.detach(), src=0)


def sum_gradients(parameters: Sequence[torch.nn.Parameter]) -> None:
    """Sum the gradients over all processes, in place; a gradient that a process lacks counts as zero.

    Called once an accumulation window, after its last backward pass. A process without a batch takes part like the
    others, whether it never had one, lost it, or used other parameters.
    """
    if _world.size == 1:
        return
    import torch
    import torch.distributed as dist

    counts = total([float(p.grad is not None) for p in parameters])
    used = [p for p, count in zip(parameters, counts) if count]
    for p in used:
        if p.grad is None:
            p.grad = torch.zeros_like(p)
    for bucket in _buckets(used):
        flat = torch.cat([p.grad.reshape(-1) for p in bucket])
        with waiting():
            dist.all_reduce(flat)
        for p, part in zip(bucket, flat.split([p.numel() for p in bucket])):
            p.grad.copy_(part.view_as(p))


def _buckets(parameters: Sequence[torch.nn.Parameter]) -> Iterator[list[torch.nn.Parameter]]:
    """Parameters of one dtype and device, in groups of about ``BUCKET`` values."""
    bucket: list[torch.nn.Parameter] = []
    for p in parameters:
        differs = bool(bucket) and (p.grad.dtype, p.device) != (bucket[0].grad.dtype, bucket[0].device)
        if bucket and (differs or sum(q.numel() for q in bucket) + p.numel() > BUCKET):
            yield bucket
            bucket = []
        bucket.append(p)
    if bucket:
        yield bucket
