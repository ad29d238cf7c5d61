"""Says where a process waits that makes no progress: a hung run must be able to be told apart from a slow one."""

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

_beat = 0.0  # when progress was last made


def beat() -> None:
    """Say that progress was made."""
    global _beat
    _beat = time.monotonic()


@contextlib.contextmanager
def watching(seconds: float | None) -> Iterator[None]:
    """Inside, after ``seconds`` without a :func:`beat` the stack of the calling thread is logged; again when the wait
    has doubled. None watches nothing."""
    if seconds is None:
        yield
        return
    done, watched = threading.Event(), threading.get_ident()
    beat()
    thread = threading.Thread(target=_watch, args=(seconds, watched, done), daemon=True, name="watchdog")
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(timeout=5)


def _watch(seconds: float, watched: int, done: threading.Event) -> None:
    limit = seconds
    while not done.wait(min(1.0, seconds / 4)):
        waited = time.monotonic() - _beat
        if waited < seconds:
            limit = seconds
        elif waited >= limit:
            limit = 2 * waited
            log.warning("%s", report(waited, watched))


def report(waited: float, thread: int) -> str:
    """Which process waits, for how long, and where."""
    frame = sys._current_frames().get(thread)
    stack = "".join(traceback.format_stack(frame)) if frame is not None else "(the thread is gone)\n"
    world = distributed.world()
    which = f"process {world.rank} of {world.size}" if world.size > 1 else "the run"
    return f"{which} has made no progress for {waited:.0f} s; it is here (the innermost call last):\n{stack.rstrip()}"
