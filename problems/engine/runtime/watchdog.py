"""Log the stack of a process that makes no progress, so that a hang can be told from a slow run."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
import traceback
from collections.abc import Iterator

from problems.engine.runtime import distributed

log = logging.getLogger(__name__)

_last_beat = 0.0  # the time of the last progress


def beat() -> None:
    """Record that progress was made."""
    global _last_beat
    _last_beat = time.monotonic()


@contextlib.contextmanager
def watching(seconds: float | None) -> Iterator[None]:
    """Within a ``with`` block, log the stack of the calling thread after ``seconds`` without a :func:`beat`.

    It is logged again each time the wait has doubled. None turns it off.
    """
    if seconds is None:
        yield
        return
    stopped = threading.Event()
    beat()
    thread = threading.Thread(
        target=_watch, args=(seconds, threading.get_ident(), stopped), daemon=True, name="watchdog"
    )
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join(timeout=5)


def _watch(seconds: float, watched: int, stopped: threading.Event) -> None:
    limit = seconds
    while not stopped.wait(min(1.0, seconds / 4)):
        waited = time.monotonic() - _last_beat
        if waited < seconds:
            limit = seconds
        elif waited >= limit:
            limit = 2 * waited
            log.warning("%s", report(waited, watched))


def report(waited: float, thread: int) -> str:
    """The message about a thread that has waited so many seconds: its process and its stack."""
    frame = sys._current_frames().get(thread)
    stack = "".join(traceback.format_stack(frame)) if frame is not None else "(the thread has ended)\n"
    world = distributed.world()
    name = f"rank {world.rank} of {world.size}" if world.size > 1 else "the run"
    return f"{name} has made no progress for {waited:.0f} s; stack (innermost call last):\n{stack.rstrip()}"
