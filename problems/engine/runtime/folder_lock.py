"""One run per folder at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from dataset.storage.locks import LockedError, locked
from problems.engine.runtime.errors import StageError


@contextlib.contextmanager
def folder_lock(folder: Path, shared: bool = False, option: str = "target_dir") -> Iterator[None]:
    """Hold a lock on ``folder/.lock`` for the length of a ``with`` block.

    Args:
        folder: it is created if needed.
        shared: let other shared holders in, and keep exclusive ones out.
        option: the option that chooses the folder, for the message.

    Raises:
        StageError: it is held by another run, which the message names.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(Path(folder) / ".lock", shared=shared, wait=False))
        except LockedError as holder:
            raise StageError(
                f"{folder} is in use by {holder}; wait for it to end, or choose another folder (--{option})"
            ) from None
        yield


def holder_of(folder: Path) -> str | None:
    """The run that works in a folder, such as ``process 5 on host since 2026-01-31 12:00:00``; None if there is none.

    A folder in which this process may not write is taken to be free: nothing of this user runs there.
    """
    path = Path(folder) / ".lock"
    if not path.exists():
        return None
    try:
        with locked(path, shared=True, wait=False):
            return None
    except LockedError as holder:
        return str(holder)
    except PermissionError:
        return None
