"""Atomic writes: a file or a folder is the old one or the new one, whenever the process or the machine stops."""

from __future__ import annotations

import contextlib
import contextvars
import hashlib
import json
import math
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

_flushes: contextvars.ContextVar[bool] = contextvars.ContextVar("flushes", default=True)
"""False while a folder is filled whose files are flushed together at the end."""


@contextlib.contextmanager
def replacing(path: Path, mode: str = "wb", **options: Any) -> Iterator[IO[Any]]:
    """Open a temporary file that replaces ``path`` at the end of the block, if the block does not raise.

    Args:
        path: its folder is created if needed.
        mode, options: as for :func:`open`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path)
    try:
        with open(temporary, mode, **options) as file:
            yield file
            file.flush()
            if _flushes.get():
                os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    if _flushes.get():
        fsync(path.parent)


def write_bytes(path: Path, content: bytes) -> None:
    """Replace ``path`` by ``content``."""
    with replacing(path) as file:
        file.write(content)


def write_text(path: Path, text: str) -> None:
    """Replace ``path`` by ``text`` in UTF-8."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Replace ``path`` by ``value`` as JSON, with null for each number that is not finite."""
    write_text(path, json.dumps(finite(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def finite(value: Any) -> Any:
    """Return ``value`` with None for every NaN and infinity, which JSON cannot hold."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {k: finite(v) for k, v in value.items()}
    return [finite(v) for v in value] if isinstance(value, (list, tuple)) else value


def read_json(path: Path) -> Any:
    """Return the JSON value in ``path``."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_folder(path: Path, fill: Callable[[Path], None]) -> None:
    """Create or replace the folder ``path``: filled under another name, flushed to disk, renamed.

    A folder that is replaced is called ``path.old`` until the new one is in place (:func:`restore_replaced`).

    Args:
        fill: writes the content into the empty folder that it is called with.
    """
    new = NewFolder(path)
    new.fill(fill)
    new.publish()


class NewFolder:
    """A folder that is filled under another name, in several parts, before it is :meth:`publish`-ed as ``path``.

    It is removed if a part fails.
    """

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.temporary = path, _temporary(path)
        self.temporary.mkdir()

    def fill(self, fill: Callable[[Path], None]) -> None:
        """Let ``fill`` write into the folder that it is called with."""
        flushes = _flushes.set(False)
        try:
            fill(self.temporary)
        except BaseException:
            shutil.rmtree(self.temporary, ignore_errors=True)
            raise
        finally:
            _flushes.reset(flushes)

    def publish(self) -> None:
        """Flush the folder to disk and give it its name."""
        path, temporary = self.path, self.temporary
        try:
            _fsync_tree(temporary)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        replaced = path.with_name(f"{path.name}.old")
        if path.exists():
            if replaced.exists():  # its writer was killed just before it would have removed it
                remove_folder(replaced)
            os.rename(path, replaced)
        os.rename(temporary, path)
        fsync(path.parent)
        if replaced.exists():
            remove_folder(replaced)


def restore_replaced(folder: Path, is_whole: Callable[[Path], bool] = Path.is_dir) -> None:
    """Finish what killed calls of :func:`write_folder` began in ``folder``.

    ``NAME.old`` is renamed back to ``NAME`` if the new one was not yet in place, and removed if it is and is whole.
    """
    for replaced in folder.glob("*.old"):
        path = replaced.with_suffix("")
        if not path.exists():
            os.rename(replaced, path)
        elif is_whole(path):
            remove_folder(replaced)


def remove_folder(path: Path) -> None:
    """Remove a folder; at no time does part of it stand under its own name."""
    doomed = _temporary(path)
    os.rename(path, doomed)
    shutil.rmtree(doomed)


def sweep(folder: Path, name: str = "*") -> None:
    """Remove the temporary files of killed writers of ``folder/name``. Only this process may write there now."""
    for leftover in folder.glob(f".{name}.*.tmp"):
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()


def free_name(path: Path) -> Path:
    """Return the first of ``path.1``, ``path.2``, ... that does not exist."""
    number = 1
    while (candidate := path.with_name(f"{path.name}.{number}")).exists():
        number += 1
    return candidate


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal digits."""
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def fsync(path: str | os.PathLike[str]) -> None:
    """Flush a file's content, or the names in a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fsync_tree(folder: Path) -> None:
    paths = [str(folder), *(os.path.join(root, name) for root, dirs, names in os.walk(folder) for name in dirs + names)]
    with ThreadPoolExecutor(16) as pool:  # many at once: one after the other takes 4 ms each on a disk
        list(pool.map(fsync, paths))


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
