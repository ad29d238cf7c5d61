"""Locks between processes, released by the kernel however their process ends."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

# by process, so that a forked worker does not inherit what a thread of its parent held
_threads: defaultdict[tuple[int, str], threading.Lock] = defaultdict(threading.Lock)


class LockedError(Exception):
    """The lock is held; the message names the holder."""


@contextlib.contextmanager
def locked(path: Path, *, shared: bool = False, wait: bool = True) -> Iterator[None]:
    """Hold a lock on the file ``path``, which is created if needed, for the length of a ``with`` block.

    This is a POSIX record lock: it works over NFS, is released when the process dies, and no worker of a loader
    inherits it. It belongs to the process. Exclusive holders in several threads therefore take turns by a lock between
    threads, and nothing else in the process may open ``path``, because closing it would release the lock.

    Args:
        shared: let other shared holders in, and keep exclusive ones out.
        wait: wait until the lock is free; otherwise raise.

    Raises:
        LockedError: the lock is held, and ``wait`` is false.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    among_threads = contextlib.nullcontext() if shared else _thread_lock(path, wait)
    with among_threads, open(path, "a+", encoding="utf-8") as file:
        try:
            fcntl.lockf(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise
            file.seek(0)
            raise LockedError(file.read().strip() or "another process") from None
        file.truncate(0)  # under a shared lock too: the name in it is of a holder that has ended
        if not shared:
            started = time.strftime("%Y-%m-%d %H:%M:%S")
            file.write(f"process {os.getpid()} on {socket.gethostname()} since {started}\n")
            file.flush()
        yield


@contextlib.contextmanager
def _thread_lock(path: Path, wait: bool) -> Iterator[None]:
    lock = _threads[os.getpid(), str(path.resolve())]
    if not lock.acquire(blocking=wait):
        raise LockedError("another run in this process")
    try:
        yield
    finally:
        lock.release()
