"""Files that are either the old one or the new one, whatever happens in between."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any


def fsync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Replace ``path`` by ``text`` atomically and durably."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)


def finite(value: Any) -> Any:
    """``value`` with every number that JSON cannot hold (NaN, infinity) as null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {k: finite(v) for k, v in value.items()}
    return [finite(v) for v in value] if isinstance(value, (list, tuple)) else value


def write_json(path: Path, value: Any) -> None:
    """Replace ``path`` by ``value`` as JSON, atomically."""
    write_text(path, json.dumps(finite(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """The JSON in ``path``."""
    return json.loads(path.read_text(encoding="utf-8"))


def sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal digits."""
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def free_name(path: Path) -> Path:
    """``path.1``, ``path.2``, ...: the first that is not taken."""
    number = 1
    while (candidate := path.with_name(f"{path.name}.{number}")).exists():
        number += 1
    return candidate


def write_folder(path: Path, fill: Callable[[Path], None]) -> None:
    """Make the folder ``path`` appear whole: filled under another name, made durable, renamed.

    A folder that is there already stands as ``path.old`` until the new one does (:func:`restore_replaced`).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir()
        fill(temporary)
        for folder, _, names in os.walk(temporary):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    os.fsync(file.fileno())
            fsync_folder(Path(folder))
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    replaced = path.with_name(f"{path.name}.old")
    if path.exists():
        if replaced.exists():  # left by a writer that was killed just before it would have removed it
            remove_folder(replaced)
        os.rename(path, replaced)
    os.rename(temporary, path)
    fsync_folder(path.parent)
    if replaced.exists():
        remove_folder(replaced)


def restore_replaced(folder: Path) -> None:
    """Give back its name to a folder whose writer was killed between setting it aside and putting the new one there."""
    for replaced in folder.glob("*.old"):
        if not replaced.with_suffix("").exists():
            os.rename(replaced, replaced.with_suffix(""))


def remove_folder(path: Path) -> None:
    """Remove a folder so that no part of it is ever seen under its own name."""
    doomed = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    os.rename(path, doomed)
    shutil.rmtree(doomed)


def sweep(folder: Path) -> None:
    """Remove what killed writers left in ``folder``. Only for a folder that this process alone writes."""
    for leftover in folder.glob(".*.tmp"):
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
