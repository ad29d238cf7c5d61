"""End a process when another one of its training fails, even while it waits in a collective.

A process that fails writes its error to the store that all processes share. One that is killed cannot: torchrun's agent
then sends SIGTERM to the others. No Python handler runs while the main thread waits inside a collective, but the byte
that the signal leaves in a pipe can be read here.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.distributed import Store

log = logging.getLogger(__name__)

KEY = "soundstage/failure"
INTERVAL = 0.5  # seconds between two looks at the store
PATIENCE = 15.0  # seconds to wait in a collective after SIGTERM before the peer is presumed dead

_waiting_since: float | None = None  # start of the collective that the main thread is in


@contextlib.contextmanager
def waiting() -> Iterator[None]:
    """Mark the block as one in which the main thread waits for other processes."""
    global _waiting_since
    _waiting_since = time.monotonic()
    try:
        yield
    except RuntimeError:  # perhaps a peer's failure broke the connection: the watch then ends this process with it
        time.sleep(4 * INTERVAL)
        raise
    finally:
        _waiting_since = None


class FailureWatch(threading.Thread):
    """A thread that ends this process, with the other's exit code, once another process has failed."""

    def __init__(self, store: Store, rank: int):
        super().__init__(daemon=True, name="failure-watch")
        self.store, self.rank = store.clone(), rank
        self.stopped = threading.Event()
        self.signals, write_end = os.pipe()
        for end in (self.signals, write_end):
            os.set_blocking(end, False)
        self.previous_fd = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        self.terminated_at: float | None = None  # when SIGTERM arrived
        self.start()

    def report(self, error: BaseException) -> None:
        """Write this process's failure to the store, unless another process has failed before.

        Returns once the others have had time to read it: this process may hold the store.
        """
        failure = f"{self.rank}\n{getattr(error, 'exit_code', 1)}\n{type(error).__name__}: {error}"
        with contextlib.suppress(Exception):  # the store may be gone
            if not self.store.check([KEY]):
                self.store.set(KEY, failure)
                time.sleep(2 * INTERVAL)

    def stop(self) -> None:
        """End the thread."""
        signal.set_wakeup_fd(self.previous_fd)
        self.stopped.set()
        self.join(timeout=5)

    def run(self) -> None:
        while not self.stopped.wait(INTERVAL):
            if self._peer_is_dead():
                print(f"error: rank {self.rank} exits: a process it was waiting for has died", file=sys.stderr)
                os._exit(128 + signal.SIGTERM)
            failure = self._failure()
            if failure is None:
                continue
            rank, code, message = failure
            if rank != self.rank and not self.stopped.wait(2 * INTERVAL):
                log.error("rank %d exits because rank %d failed: %s", self.rank, rank, message)
                logging.shutdown()
                os._exit(code)

    def _failure(self) -> tuple[int, int, str] | None:
        """The rank, exit code and message of the process that failed first."""
        try:
            if not self.store.check([KEY]):
                return None
            rank, code, message = self.store.get(KEY).decode().split("\n", 2)
        except Exception as error:  # the process that held the store is gone
            return 0, 1, f"its process has died ({type(error).__name__})"
        return int(rank), int(code), message

    def _peer_is_dead(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            if signal.SIGTERM in os.read(self.signals, 64) and self.terminated_at is None:
                self.terminated_at = time.monotonic()
        since = _waiting_since
        if self.terminated_at is None or since is None:
            return False
        return time.monotonic() - max(since, self.terminated_at) > PATIENCE
