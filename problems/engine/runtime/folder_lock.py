"""One writer a folder: locks that die with their process."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import time
from pathlib import Path

from problems.engine.runtime.errors import StageError

_held: set[str] = set()  # POSIX locks are per process, so a second taker in this process is seen here


class FolderLock:
    """A lock on ``folder/.lock`` for the length of a ``with`` block.

    POSIX record locks: released by the kernel however the process ends, not inherited by the loader's workers,
    and shared over NFS.

    Args:
        folder: the folder; it is made where it is missing.
        shared: let other shared holders in, and keep exclusive ones out.

    Raises:
        StageError: another process holds it; the message says which.
    """

    def __init__(self, folder: Path, shared: bool = False):
        self.path = Path(folder) / ".lock"
        self.shared = shared

    def __enter__(self) -> FolderLock:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.key = str(self.path.resolve())
        if self.key in _held and not self.shared:
            raise StageError(
                f"{self.path.parent} is in use by another run in this process; wait for it, or take another folder"
            )
        self.file = open(self.path, "a+", encoding="utf-8")
        try:
            fcntl.lockf(self.file, (fcntl.LOCK_SH if self.shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError as error:
            self.file.seek(0)
            holder = self.file.read().strip() or "another process"
            self.file.close()
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise
            raise StageError(
                f"{self.path.parent} is in use by {holder}; wait for it to end, or run in another folder (--target_dir)"
            ) from None
        self.file.truncate(0)  # under a shared lock too: what stands there is of a holder that has ended
        if not self.shared:
            self.file.write(
                f"process {os.getpid()} on {socket.gethostname()} since {time.strftime('%Y-%m-%d %H:%M:%S')}\n"
            )
            self.file.flush()
            _held.add(self.key)
        return self

    def __exit__(self, *exception: object) -> None:
        _held.discard(self.key)
        self.file.close()
