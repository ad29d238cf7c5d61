"""Speaker turns: who speaks when in a recording; read and written as RTTM, kept in metadata as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple


class TurnsError(ValueError):
    """Turns cannot be read; the message names file and line."""


class Turn(NamedTuple):
    """A stretch of speech of one speaker, in seconds from the beginning of the recording."""

    start: float
    end: float
    speaker: str


Span = tuple[float, float]
"""Start and end in seconds."""


def read_rttm(path: str | Path) -> dict[str, list[Turn]]:
    """The turns of each recording in an RTTM file, or in all ``.rttm`` files of a folder, in order of time.

    Turns without length are left out.

    Raises:
        TurnsError: there is no such file, or a line is not as it should be.
    """
    turns: dict[str, list[Turn]] = {}
    for file in _files(path, ".rttm"):
        for number, fields in _lines(file):
            if fields[0] != "SPEAKER":
                continue
            if len(fields) < 8:
                raise TurnsError(f"{file}, line {number}: expected 8 fields or more, got {len(fields)}")
            start, length = _times(fields[3], fields[4], file=file, number=number)
            own = turns.setdefault(fields[1], [])
            if length > 0:
                own.append(Turn(start, start + length, fields[7]))
    return {name: sorted(own) for name, own in turns.items()}


def read_uem(path: str | Path) -> dict[str, list[Span]]:
    """The spans of each recording that are scored, from a UEM file or all ``.uem`` files of a folder.

    Raises:
        TurnsError: there is no such file, or a line is not as it should be.
    """
    spans: dict[str, list[Span]] = {}
    for file in _files(path, ".uem"):
        for number, fields in _lines(file):
            if len(fields) < 4:
                raise TurnsError(f"{file}, line {number}: expected 4 fields, got {len(fields)}")
            start, end = _times(fields[2], fields[3], file=file, number=number)
            if start >= end:
                raise TurnsError(f"{file}, line {number}: the span ends at {end:g} s, before it begins")
            spans.setdefault(fields[0], []).append((start, end))
    return spans


def rttm_lines(recording: str, turns: Iterable[Turn]) -> str:
    """Turns as lines of an RTTM file. White space in names, which RTTM cannot hold, becomes ``_``."""
    name = "_".join(recording.split())
    lines = (
        f"SPEAKER {name} 1 {turn.start:.3f} {turn.end - turn.start:.3f} <NA> <NA> {'_'.join(turn.speaker.split())}"
        " <NA> <NA>\n"
        for turn in turns
    )
    return "".join(lines)


def to_json(turns: Sequence[Turn]) -> str:
    """Turns as the cell of a table: ``[[start, end, speaker], ...]``."""
    rows = [[round(turn.start, 4), round(turn.end, 4), turn.speaker] for turn in turns]
    return json.dumps(rows, ensure_ascii=False)


def from_json(text: str, column: str = "turns") -> list[Turn]:
    """The turns of a cell of a table, or events or phones with their labels in place of speakers.

    Args:
        column: of the table, named in the error.

    Raises:
        ValueError: it is not a JSON list of start, end and speaker.
    """
    try:
        return [Turn(float(start), float(end), str(speaker)) for start, end, speaker in json.loads(text or "[]")]
    except (TypeError, ValueError) as error:
        name = "speaker" if column == "turns" else "label"
        raise ValueError(f"{column}: expected a JSON list of [start, end, {name}], got {text[:80]!r}") from error


def _files(path: str | Path, suffix: str) -> list[Path]:
    path = Path(path).expanduser()
    files = sorted(path.glob(f"*{suffix}")) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise TurnsError(f"{path}: there is no {suffix} file")
    return files


def _lines(file: Path) -> Iterable[tuple[int, list[str]]]:
    try:
        text = file.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TurnsError(f"{file} is not UTF-8 text") from error
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split()
        if fields and not line.startswith(";;"):
            yield number, fields


def _times(first: str, second: str, *, file: Path, number: int) -> Span:
    try:
        times = float(first), float(second)
    except ValueError:
        times = math.nan, math.nan
    if not all(math.isfinite(time) and time >= 0 for time in times):
        raise TurnsError(f"{file}, line {number}: expected two times in seconds, got {first} and {second}")
    return times
