"""Evict the least recently used feature shards.

One process decides at a time. A shard that a process has open is never evicted.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from dataset.storage.locks import locked

log = logging.getLogger(__name__)

SUFFIX = ".safetensors"


class CannotCacheError(Exception):
    """Features cannot be cached: the disk or the limit is reached, or the folder cannot be written."""


@contextlib.contextmanager
def mutex(root: Path) -> Iterator[None]:
    """Let one process at a time add and remove files."""
    with locked(root / ".lock"):
        yield


def all_shards(root: Path) -> Iterator[tuple[Path, int, float]]:
    """Each shard of every folder with its size and the time of its last use."""
    for path in root.glob(f"*/[!.]*{SUFFIX}"):
        with contextlib.suppress(FileNotFoundError):
            stat = path.stat()
            yield path, stat.st_size, stat.st_mtime


def is_unused(path: Path) -> bool:
    """Return True if no process has the file open, this one included; False if that cannot be determined.

    Shards are held by flock, not by :mod:`dataset.storage.locks`: reading one opens and closes the file, which would
    release a POSIX lock of this process. NFS needs a file open for writing for an exclusive flock, and one open for
    reading for a shared one.
    """
    try:
        with open(path, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def sweep(folder: Path) -> None:
    """Delete the temporary files of killed writers. Call it under the mutex."""
    for leftover in folder.glob(".*.tmp"):
        if is_unused(leftover):
            leftover.unlink(missing_ok=True)


def make_room(root: Path, limit: int, size: int, unwritten: int = 0) -> None:
    """Evict shards until ``size`` more bytes stay within the limit. Call it under the mutex.

    Args:
        unwritten: bytes of them that still have to fit on the disk.

    Raises:
        OSError: the disk is full.
        CannotCacheError: the limit is reached, and every shard is in use.
    """
    shards = sorted(all_shards(root), key=lambda shard: shard[2])
    lacking = unwritten - shutil.disk_usage(root).free
    over = max(sum(shard_size for _, shard_size, _ in shards) + size - limit, lacking)
    for path, shard_size, _ in shards:
        if over > 0 and is_unused(path):
            path.unlink(missing_ok=True)
            log.info("features: %s evicted, the least recently used (%.1f MB)", path, shard_size / 1e6)
            over, lacking = over - shard_size, lacking - shard_size
    if lacking > 0:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if over > 0:
        raise CannotCacheError(
            f"{root}: {size / 1e6:,.1f} MB more would exceed features.limit_gb ({limit / 1e9:g}), and every shard is in"
            " use"
        )
