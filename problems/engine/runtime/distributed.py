"""Processes that train together: who is who, saying things to all, and ending together.

``torchrun`` (or ``--nproc N``) decides rank and world through the environment. Gradients go over NCCL where there are
GPUs; the few numbers that the processes agree on go over gloo, so that no agreement waits for a GPU. A process that
fails says so in the store that all share; the others see it and end with the same error, whatever they wait for.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import logging
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from problems.engine.runtime.errors import Interrupted

log = logging.getLogger(__name__)
T = TypeVar("T")

FAILURE = "soundstage/failure"
LOOK_EVERY = 0.5  # seconds between two looks for another process's failure
PATIENCE = 15.0  # seconds in a collective, once asked to end, before its other side is taken to be gone
BUCKET = 1 << 25  # numbers that are summed over the processes at once


@dataclasses.dataclass(frozen=True)
class World:
    """This process among all; ``local`` is its number among those of its machine.

    ``shared``: whether it sees the files that the main process writes.
    """

    rank: int = 0
    size: int = 1
    local: int = 0
    shared: bool = True

    @property
    def main(self) -> bool:
        """Whether this is the process that decides and shows."""
        return self.rank == 0

    @property
    def writes(self) -> bool:
        """Whether this is the process that writes data and checkpoints where it is: one on each file system."""
        return self.main or (self.local == 0 and not self.shared)


_world = World()
_waiting_since: float | None = None  # when this process went into the collective that it is in


def world() -> World:
    """This process among those that run together; alone before :func:`together`."""
    return _world


def asked(world_size: int = 1, rank: int = 0) -> World:
    """The world that the environment describes, or the one that a caller of ``run()`` gives."""
    size = int(os.environ.get("WORLD_SIZE", world_size))
    rank = int(os.environ.get("RANK", rank))
    return World(rank, size, int(os.environ.get("LOCAL_RANK", rank)))


@contextlib.contextmanager
def together(wanted: World, device: str) -> Iterator[World]:
    """Join the other processes for the length of a ``with`` block; alone, do nothing.

    An exception inside is told to the others before it goes on.
    """
    global _world
    if wanted.size == 1:
        yield wanted
        return
    import torch.distributed as dist

    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    os.environ.setdefault("MASTER_PORT", "29500")
    with _sigterm_at_once():
        store, *_ = next(dist.rendezvous("env://", wanted.rank, wanted.size))
        store = dist.PrefixStore(f"soundstage/{_attempt()}", store)
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if device.startswith("cuda") else "gloo",
            store=store,
            rank=wanted.rank,
            world_size=wanted.size,
            timeout=datetime.timedelta(hours=2),  # a failure is seen by the watch, not by waiting
        )
    _world = wanted
    watch = _Watch(store, wanted)
    try:
        yield wanted
        barrier()
    except BaseException as error:
        if not isinstance(error, Interrupted):  # all agreed to stop: each ends by itself
            watch.tell(error)
        raise
    finally:
        watch.stop()
        _world = World()
        with contextlib.suppress(Exception):  # others may be gone
            dist.destroy_process_group()


def _attempt() -> str:
    """The attempt that this is: one agent may keep one store over restarts, in which what the last one wrote must not
    be read. Several agents count restarts each for itself, and make a new store each time."""
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") if os.environ.get("GROUP_WORLD_SIZE", "1") == "1" else ""


@contextlib.contextmanager
def _sigterm_at_once() -> Iterator[None]:
    """Let SIGTERM end the process while it waits for others to come: no Python handler would run."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Watch(threading.Thread):
    """Looks for the end of another process while this one may be waiting inside a collective for ever.

    A process that fails says so in the store. One that is killed cannot: torchrun's agent then sends SIGTERM, which no
    Python handler sees while the main thread waits; the byte that the signal leaves in a pipe is seen here.
    """

    def __init__(self, store: Any, world: World):
        super().__init__(daemon=True, name="failure-watch")
        self.store, self.world, self.done = store.clone(), world, threading.Event()
        self.signals, write_end = os.pipe()
        for end in (self.signals, write_end):
            os.set_blocking(end, False)
        self.before = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        self.asked_to_end: float | None = None  # when
        self.start()

    def tell(self, error: BaseException) -> None:
        """Say that this process failed; the first to say so is the one that counts."""
        said = f"{self.world.rank}\n{getattr(error, 'exit_code', 1)}\n{type(error).__name__}: {error}"
        with contextlib.suppress(Exception):
            if not self.store.check([FAILURE]):
                self.store.set(FAILURE, said)

    def stop(self) -> None:
        """End the looking."""
        signal.set_wakeup_fd(self.before)
        self.done.set()
        self.join(timeout=5)

    def run(self) -> None:
        while not self.done.wait(LOOK_EVERY):
            if self._is_left_alone():
                print(f"error: process {self.world.rank} ends: it waits for one that is gone", file=sys.stderr)
                os._exit(128 + signal.SIGTERM)
            try:
                if not self.store.check([FAILURE]):
                    continue
                rank, code, said = self.store.get(FAILURE).decode().split("\n", 2)
            except Exception as error:  # the process that held the store is gone
                rank, code, said = "0", "1", f"it is gone ({type(error).__name__})"
            if int(rank) != self.world.rank and not self.done.wait(2 * LOOK_EVERY):
                log.error("process %d ends with process %s: %s", self.world.rank, rank, said)
                logging.shutdown()
                os._exit(int(code))

    def _is_left_alone(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            if signal.SIGTERM in os.read(self.signals, 64) and self.asked_to_end is None:
                self.asked_to_end = time.monotonic()
        if self.asked_to_end is None or _waiting_since is None:
            return False
        return time.monotonic() - max(_waiting_since, self.asked_to_end) > PATIENCE


@contextlib.contextmanager
def _collective() -> Iterator[None]:
    """Note that the main thread waits for other processes."""
    global _waiting_since
    _waiting_since = time.monotonic()
    try:
        yield
    finally:
        _waiting_since = None


def look_for_files(folder: Path) -> World:
    """Find out whether this process sees what the main one writes into ``folder``; every process must ask.

    Returns:
        This process's world, now with the answer.
    """
    global _world
    if _world.size > 1:
        folder.mkdir(parents=True, exist_ok=True)
        _world = dataclasses.replace(_world, shared=sees(folder))
    return _world


def sees(folder: Path) -> bool:
    """Whether this process sees what the main one writes into ``folder``; every process must ask."""
    if _world.size == 1:
        return True
    sign = folder / f".{on_main(lambda: uuid.uuid4().hex)}"
    if _world.main:
        sign.touch()
    barrier()
    seen = sign.exists()
    barrier()
    if _world.main:
        sign.unlink()
    return seen


def barrier() -> None:
    """Wait for every process."""
    if _world.size > 1:
        total([0.0])


def total(values: Sequence[float]) -> list[float]:
    """The sum over all processes of each of a few numbers, the same list on every one."""
    if _world.size == 1:
        return [float(v) for v in values]
    import torch
    import torch.distributed as dist

    tensor = torch.tensor(list(values), dtype=torch.float64)
    with _collective():
        dist.all_reduce(tensor)
    return tensor.tolist()


def gather(value: T) -> list[T]:
    """The value of every process, by rank, on every process."""
    if _world.size == 1:
        return [value]
    import torch.distributed as dist

    found: list[Any] = [None] * _world.size
    with _collective():
        dist.all_gather_object(found, value)
    return found


def on_main(work: Callable[[], T]) -> T:
    """Do ``work`` on one process and give every process its result, or its error.

    Raises:
        SoundstageError: on the other processes, with the message of the error on the one that worked.
    """
    if _world.size == 1:
        return work()
    import torch.distributed as dist

    result: list[Any] = [None]
    if _world.main:
        result = [work()]  # an error here reaches the others through the watch
    with _collective():
        dist.broadcast_object_list(result, src=0)
    return result[0]


def same_everywhere(tensors: Sequence[Any]) -> None:
    """Give every process the main one's values of ``tensors``, in place."""
    if _world.size == 1:
        return
    import torch.distributed as dist

    for tensor in tensors:
        dist.broadcast(tensor.detach(), src=0)


def sum_gradients(parameters: Sequence[Any]) -> None:
    """Sum the gradients over all processes, in place, in flat buckets; one that a process lacks counts as zero.

    Once a window, after its last backward pass: a process that had no batch, or lost it, or uses other parameters than
    the next, takes part like any other.
    """
    if _world.size == 1:
        return
    import torch
    import torch.distributed as dist

    has = total([float(p.grad is not None) for p in parameters])
    used = [p for p, count in zip(parameters, has) if count]
    for p in used:
        if p.grad is None:
            p.grad = torch.zeros_like(p)
    for bucket in _buckets(used):
        flat = torch.cat([p.grad.reshape(-1) for p in bucket])
        with _collective():
            dist.all_reduce(flat)
        for p, part in zip(bucket, flat.split([p.numel() for p in bucket])):
            p.grad.copy_(part.view_as(p))


def _buckets(parameters: Sequence[Any]) -> Iterator[list[Any]]:
    """Parameters of one type and device in groups of about ``BUCKET`` numbers."""
    bucket: list[Any] = []
    for p in parameters:
        other = bucket and (p.grad.dtype, p.device) != (bucket[0].grad.dtype, bucket[0].device)
        if bucket and (other or sum(q.numel() for q in bucket) + p.numel() > BUCKET):
            yield bucket
            bucket = []
        bucket.append(p)
    if bucket:
        yield bucket
