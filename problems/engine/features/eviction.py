"""Which shards of features stay: one process at a time decides, and what any process holds is left."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from dataset.locks import locked

log = logging.getLogger(__name__)

SUFFIX = ".safetensors"


class CannotKeepError(Exception):
    """Features cannot be kept: the disk or the limit is reached, or the folder cannot be written."""


@contextlib.contextmanager
def mutex(root: Path) -> Iterator[None]:
    """One process at a time decides what comes and goes."""
    with locked(root / ".lock"):
        yield


def all_shards(root: Path) -> Iterator[tuple[Path, int, float]]:
    """Each shard of every folder with its size and the time of its last use."""
    for path in root.glob(f"*/[!.]*{SUFFIX}"):
        with contextlib.suppress(FileNotFoundError):
            stat = path.stat()
            yield path, stat.st_size, stat.st_mtime


def unused(path: Path) -> bool:
    """Whether no process holds a file, this one included; not, where that cannot be told.

    Shards are held by flock, not by :mod:`dataset.locks`: reading one opens and closes the file, which would release a
    POSIX lock of this process.
    NFS locks exclusively only what is open for writing, and shares only what is open for reading.
    """
    try:
        with open(path, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def sweep(folder: Path) -> None:
    """Remove what killed writers left. Under the mutex."""
    for leftover in folder.glob(".*.tmp"):
        if unused(leftover):
            leftover.unlink(missing_ok=True)


def make_room(root: Path, limit: int, size: int, unwritten: int = 0) -> None:
    """Let the least recently used shards go until ``size`` bytes more stay within the limit. Under the mutex.

    Those that are still ``unwritten`` must find room on the disk, too.
    """
    shards = sorted(all_shards(root), key=lambda shard: shard[2])
    lacking = unwritten - shutil.disk_usage(root).free
    over = max(sum(taken for _, taken, _ in shards) + size - limit, lacking)
    for path, taken, _ in shards:
        if over > 0 and unused(path):
            path.unlink(missing_ok=True)
            log.info("features: %s made way, not used for longest (%.1f MB)", path, taken / 1e6)
            over, lacking = over - taken, lacking - taken
    if lacking > 0:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if over > 0:
        raise CannotKeepError(
            f"{root}: {size / 1e6:,.1f} MB more would exceed features.limit_gb ({limit / 1e9:g}), and all that is there"
            " is in use"
        )
