"""Find files and folders of a corpus, in a fixed order, with errors that name them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from dataset.corpora.common.base import CorpusError
from dataset.places.names import is_url, join

AUDIO = (".wav", ".flac", ".ogg", ".mp3")


def absolute(path: str, folder: Path = Path()) -> Path:
    """The absolute form of a path that a user wrote: ``~`` is the home, a relative path starts in ``folder``."""
    return Path(os.path.abspath(folder / os.path.expanduser(path)))


def audio_place(place: str, folder: Path) -> str:
    """The absolute path of audio that a file in ``folder`` names, or its URL."""
    return join(folder, place) if is_url(place) else str(absolute(place, folder))


def require_folder(path: Path, name: str, setting: str = "dataset_root") -> Path:
    """Return ``path`` if it is a folder; otherwise raise a CorpusError that opens with ``name``.

    Args:
        setting: the one to check, for the error.
    """
    if path.is_dir():
        return path
    parent = next(p for p in path.parents if p.is_dir())
    present = ", ".join(folders(parent)[:10]) or "no folder"
    raise CorpusError(f"{name}: there is no folder {path}; {parent} holds {present}; check {setting}")


def require_file(path: Path, name: str) -> Path:
    """Return ``path`` if it is a file; otherwise raise a CorpusError that opens with ``name``."""
    if path.is_file():
        return path
    raise CorpusError(f"{name}: there is no file {path}; check dataset_root, or get the file from the corpus's page")


def choose_labels(wanted: list[str], present: list[str], root: Path, setting: str) -> list[str]:
    """Return ``wanted``, or ``present`` if that is empty: at least two labels, each with a folder.

    Args:
        present: the labels that have a folder in ``root``.
        setting: named in the error.
    """
    missing = [label for label in wanted if label not in present]
    chosen = wanted or present
    if missing or len(chosen) < 2:
        problem = f"no folder for {', '.join(missing)}" if missing else f"fewer than two {setting}"
        holds = ", ".join(present) or "none"
        raise CorpusError(f"{root} has {problem}; it has {holds}; check dataset_root and {setting}")
    return chosen


def folders(path: Path) -> list[str]:
    """The names of the folders in ``path``, sorted, without hidden ones."""
    with os.scandir(path) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def audio_files(path: Path) -> Iterator[Path]:
    """Every audio file in ``path`` and below, sorted by folder, then by name, without hidden ones."""
    for folder, below, names in os.walk(path):
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(names):
            if name.lower().endswith(AUDIO) and not name.startswith("."):
                yield Path(folder, name)


def existing(path: Path) -> Path | None:
    """``path`` or, if there is no such file, the same with another suffix of audio; None if there is none."""
    return next((p for p in (path, *(path.with_suffix(suffix) for suffix in AUDIO)) if p.is_file()), None)


def lines(path: Path, columns: int | None = None) -> Iterator[tuple[int, list[str]]]:
    """The number (from 1) and the words of each line that is not empty.

    Raises:
        CorpusError: a line does not have ``columns`` words, or the file is not UTF-8.
    """
    with open(path, encoding="utf-8") as file:
        try:
            for number, line in enumerate(file, start=1):
                words = line.split()
                if words and columns is not None and len(words) != columns:
                    raise CorpusError(f"{path}, line {number}: expected {columns} words, got {line.strip()!r}")
                if words:
                    yield number, words
        except UnicodeDecodeError as error:
            raise CorpusError(f"{path} is not UTF-8 text: {error}") from error
