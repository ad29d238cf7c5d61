"""Recordings to predict for: from paths, open files, arrays, folders, CSVs, and any collection of these."""

from __future__ import annotations

import io
import numbers
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from torch import Tensor

from dataset import SAMPLE_RATE, audio
from dataset.long_audio.blocks import blocks
from dataset.metadata import read_csv
from problems.engine.runtime.errors import ConfigError

LONG = 120.0
MANY = 120 * 48000 * 2
"""Seconds, and samples of all channels, above which a file is read block by block."""
SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".au", ".w64", ".sph")


@dataclass
class Recording:
    """One recording: its name, and its samples once it is opened.

    Args:
        name: the path or what else names it.
        source: a path, an open file, or the samples (T,) at 16 kHz.
        span: start and end in seconds, of a part of a file.
        text: what is said in it, if that is known.
    """

    name: str
    source: str | BinaryIO | Tensor
    span: tuple[float | None, float | None] = (None, None)
    seconds: float = 0.0
    samples: Tensor | None = field(default=None, repr=False)
    text: str | None = None

    def open(self) -> Recording:
        """Read a short recording, and the length of a long one.

        Raises:
            AudioError: it cannot be read.
        """
        if self.samples is not None or self.seconds:
            return self
        if isinstance(self.source, Tensor):
            self.samples = self.source
        elif self.span != (None, None):
            self.samples = audio.read(self.source, *self.span)
        else:
            if not isinstance(self.source, str):
                self.source = io.BytesIO(_bytes_of(self.source))
            info = audio.info(self.source)
            self.seconds = info.seconds
            if info.seconds > LONG or info.frames * info.channels > MANY:
                return self
            self.samples = audio.read(self.source)
        self.seconds = len(self.samples) / SAMPLE_RATE
        return self

    @property
    def blocks(self) -> Iterator[Tensor]:
        """The samples, in one or more blocks (T,)."""
        return blocks(self.source) if self.samples is None else iter([self.samples])


@dataclass
class Failure:
    """A recording without a result, and the error that says why."""

    source: str
    error: Exception


def _bytes_of(file: BinaryIO) -> bytes:
    """All of what is in memory, or the rest of an open file."""
    content = file.getvalue() if isinstance(file, io.BytesIO) else file.read()
    if not isinstance(content, bytes):
        raise ConfigError(f"{audio.name_of(file)} is open as text: open it for reading bytes, with mode rb")
    return content


def is_single(item: Any) -> bool:
    """True for one recording; false for a folder, a CSV, or a collection."""
    if isinstance(item, (str, os.PathLike)):
        return not os.path.isdir(item) and not str(item).lower().endswith(".csv")
    return (
        isinstance(item, (Recording, Tensor)) or hasattr(item, "__array__") or hasattr(item, "read") or _is_pair(item)
    )


def recordings(item: Any, text_column: str | None = None) -> Iterator[Recording]:
    """The recordings that ``item`` stands for, in order; folders and CSVs are read when they are reached.

    Args:
        item: a path; an open file; samples (T,) at 16 kHz, or a pair of them and their rate; a folder, whose audio
            files are taken in the order of their paths; a CSV with the column wav_path; or an iterable of these.
        text_column: of CSVs, the column of what is said.

    Raises:
        ConfigError: an item is none of these, or a folder has no audio. MetadataError: a CSV is wrong.
    """
    if isinstance(item, (str, os.PathLike)):
        yield from _of_path(os.fspath(item), text_column)
    elif is_single(item):
        yield item if isinstance(item, Recording) else _of_object(item)
    elif isinstance(item, Iterable):
        for own in item:
            yield from recordings(own, text_column)
    else:
        raise ConfigError(
            f"got {type(item).__name__}, expected a path, an open file, samples at 16 kHz, a pair (samples, rate), a"
            " folder, a CSV, or a list or generator of these"
        )


def _is_pair(item: Any) -> bool:
    return (
        isinstance(item, tuple)
        and len(item) == 2
        and hasattr(item[0], "__array__")
        and isinstance(item[1], numbers.Integral)
    )


def _of_path(path: str, text_column: str | None) -> Iterator[Recording]:
    if os.path.isdir(path):
        files = sorted(p for p in Path(path).rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        if not files:
            raise ConfigError(f"{path} has no audio files; expected some that end in {', '.join(SUFFIXES)}")
        yield from (Recording(str(own), str(own)) for own in files)
    elif path.lower().endswith(".csv"):
        yield from _of_csv(Path(path), text_column)
    else:
        yield Recording(path, path)


def _of_csv(path: Path, text_column: str | None) -> Iterator[Recording]:
    table = read_csv(path, ("wav_path", *([text_column] if text_column else [])))
    texts = table[text_column] if text_column else [None] * len(table)
    columns = [table[name] if name in table else [""] * len(table) for name in ("start_sec", "end_sec")]
    for row, (wav_path, text, *times) in enumerate(zip(table["wav_path"], texts, *columns), start=2):
        try:
            start, end = (float(own) if own else None for own in times)
        except ValueError:
            raise ConfigError(f"{path}, row {row}: start_sec and end_sec are {times}: expected seconds") from None
        is_whole = (start, end) == (None, None)
        part = "" if is_whole else f"[{start or 0:g}-{'' if end is None else f'{end:g}'}]"
        yield Recording(f"{wav_path}{part}", wav_path, (start, end), text=text)


def _of_object(item: Any) -> Recording:
    if hasattr(item, "read"):
        return Recording(audio.name_of(item), item)
    samples, rate = item if _is_pair(item) else (item, SAMPLE_RATE)
    return Recording("array", audio.as_mono(samples, rate))
