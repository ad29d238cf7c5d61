"""Folders of audio: found, listed in a fixed order, and named in errors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from dataset.corpora.common.base import CorpusError

AUDIO = (".wav", ".flac", ".ogg", ".mp3")


def absolute(path: str) -> Path:
    """A path as a user typed it, absolute; ``~`` is their home."""
    return Path(os.path.abspath(os.path.expanduser(path)))


def require_folder(path: Path, what: str) -> Path:
    """``path``, which must be a folder; ``what`` opens the error, as in "VoxCeleb1's audio"."""
    if path.is_dir():
        return path
    parent = next(p for p in path.parents if p.is_dir())
    holds = ", ".join(folders(parent)[:10]) or "no folder"
    raise CorpusError(f"{what}: there is no folder {path}; {parent} holds {holds}; look at dataset_root")


def require_file(path: Path, what: str) -> Path:
    """``path``, which must be a file."""
    if path.is_file():
        return path
    raise CorpusError(f"{what}: there is no file {path}; look at dataset_root, or get the file from the corpus's page")


def folders(path: Path) -> list[str]:
    """Names of the folders in ``path``, sorted; hidden ones are none."""
    with os.scandir(path) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def audio_files(path: Path) -> Iterator[Path]:
    """Every audio file in ``path`` and below, sorted by folder, then by name; hidden ones are none."""
    for folder, below, names in os.walk(path):
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(names):
            if name.lower().endswith(AUDIO) and not name.startswith("."):
                yield Path(folder, name)


def existing(path: Path) -> Path | None:
    """``path``, or the same with another suffix of audio, where there is such a file."""
    return next((p for p in (path, *(path.with_suffix(suffix) for suffix in AUDIO)) if p.is_file()), None)


def lines(path: Path, columns: int | None = None) -> Iterator[tuple[int, list[str]]]:
    """Number (from 1) and words of each line that has any; a CorpusError where there are not ``columns`` of them."""
    with open(path, encoding="utf-8") as file:
        try:
            for number, line in enumerate(file, start=1):
                words = line.split()
                if words and columns is not None and len(words) != columns:
                    raise CorpusError(f"{path}, line {number}: expected {columns} words, got {line.strip()!r}")
                if words:
                    yield number, words
        except UnicodeDecodeError as error:
            raise CorpusError(f"{path} is no text in UTF-8: {error}") from error
