"""Write a checkpoint's folder whole or not at all, in two parts: while the training waits, and after it has gone on."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from dataset.storage.files import NewFolder, sha256, write_json
from problems.engine.checkpoints.background import deferring
from problems.engine.runtime.errors import CheckpointError

MANIFEST = "manifest.json"
"""The size and the SHA-256 of each file but the README."""
README = "README.md"
"""The card of an exported folder, for people: it is not verified, as they may edit it."""


def write(folder: Path, fill: Callable[[Path], None], interim: bool = False) -> None:
    """Write a checkpoint atomically; arguments and errors are those of :func:`begin`. ``fill`` writes all at once."""

    def fill_at_once(temporary: Path) -> None:
        with deferring(None):
            fill(temporary)

    begin(folder, fill_at_once, interim)()


def begin(folder: Path, fill: Callable[[Path], None], interim: bool = False) -> Callable[[], None]:
    """Begin to write a checkpoint, and return what writes the rest and gives it its name, in any thread.

    Args:
        fill: writes the files into the folder that it is called with, and hands to :func:`.background.later` what may
            be written when the training has gone on.
        interim: mark it as :func:`is_interim`.

    Raises:
        CheckpointError: the disk is full or refuses; earlier checkpoints are untouched. So does what is returned.
    """
    deferred: list[Callable[[], None]] = []
    with _explained(folder):
        new = NewFolder(folder)
        with deferring(deferred):
            new.fill(_with_full_disks(fill))

    def write_rest(temporary: Path) -> None:
        for write_part in deferred:
            write_part()
        files = sorted(p for p in temporary.rglob("*") if p.is_file() and p != temporary / README)
        digests = {p.relative_to(temporary).as_posix(): {"bytes": p.stat().st_size, "sha256": sha256(p)} for p in files}
        write_json(temporary / MANIFEST, {"files": digests} | ({"interim": True} if interim else {}))

    def finish() -> None:
        with _explained(folder):
            new.fill(_with_full_disks(write_rest))
            new.publish()

    return finish


def _with_full_disks(fill: Callable[[Path], None]) -> Callable[[Path], None]:
    """``fill``, with an OSError for a full disk, which torch and safetensors report as errors of their own."""

    def filling(temporary: Path) -> None:
        try:
            fill(temporary)
        except Exception as error:
            number = _errno_of(error, temporary)
            if number is not None:
                raise OSError(number, os.strerror(number)) from error
            raise

    return filling


def _errno_of(error: Exception, folder: Path) -> int | None:
    """The number of the system's error behind one of safetensors, which names it, or of torch, which does not."""
    if match := re.search(r"\(os error (\d+)\)", str(error)):
        return int(match[1])
    is_full = isinstance(error, RuntimeError) and shutil.disk_usage(folder).free < 1 << 17
    return errno.ENOSPC if is_full else None


@contextlib.contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CheckpointError(
            f"cannot write checkpoint {folder}: {error.strerror or error}. Earlier checkpoints are intact."
            " Free disk space or fix the folder's permissions, then run the same command again"
        ) from error
