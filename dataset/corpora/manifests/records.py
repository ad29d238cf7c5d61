"""Read the lines of manifests strictly, with errors that name the file and the line."""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dataset.corpora.common.base import CorpusError


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The number, from 1, and the text of each line that is not blank, of a file that may be gzipped.

    A byte order mark and Windows' line ends do not count.

    Raises:
        CorpusError: there is no such file, it cannot be read, or a line is not UTF-8.
    """
    if not path.is_file():
        raise CorpusError(f"there is no file {path}; check the paths in prepare_data")
    number = 0
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
                if text.strip():
                    yield number, text
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise CorpusError(f"{path}, line {number}: not UTF-8 (byte {byte:#04x}); save the file as UTF-8") from error
    except (OSError, EOFError, zlib.error) as error:
        raise CorpusError(f"{path} cannot be read after line {number} ({error}); copy it again") from error


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The number, from 1, and the JSON object of each line of a file.

    Raises:
        CorpusError: as for :func:`text_lines`; a line is not a JSON object, or has a key twice.
    """
    for number, line in text_lines(path):
        yield number, json_object(line, f"{path}, line {number}")


def json_file(path: Path) -> dict[str, Any]:
    """The JSON object that a file holds; a CorpusError if there is no such file, or it holds none."""
    try:
        return json_object(path.read_bytes(), str(path))
    except OSError as error:
        raise CorpusError(f"{path} cannot be read ({error.strerror}); check the paths in prepare_data") from error


def json_object(text: str | bytes, place: str) -> dict[str, Any]:
    """The JSON object of ``text``; a CorpusError that opens with ``place`` if it is none, or has a key twice."""
    try:
        record = json.loads(text, object_pairs_hook=_unrepeated)
    except ValueError as error:  # of JSON, or of its encoding
        raise CorpusError(f"{place}: not a JSON object in UTF-8 ({error})") from error
    if not isinstance(record, dict):
        raise CorpusError(f"{place}: expected a JSON object, got {str(record)[:80]!r}")
    return record


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record: dict[str, Any] = {}
    for key, value in pairs:
        if key in record:
            raise ValueError(f"the key {key!r} is there twice")
        record[key] = value
    return record


def cell(value: Any) -> str:
    """A value of a record as the cell of a table: text as it is, nothing as "", anything else as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def number_of(value: Any, name: str, place: str, *, may_be_negative: bool = False) -> float:
    """A finite number, not negative unless it may be; a CorpusError names ``place`` and ``name``."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or (number < 0 and not may_be_negative):
        kind = "a number" if may_be_negative else "a number that is not negative"
        raise CorpusError(f"{place}: {name} is {value!r}; expected {kind}")
    return number


def seconds_text(seconds: float) -> str:
    """A time as a cell, to the microsecond, so that sums of times lose their rounding errors."""
    return f"{seconds:.6f}".rstrip("0").rstrip(".")
