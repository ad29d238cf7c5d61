"""Formats of predictions: lines of text, JSON, CSV, and the files of times of other tools."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from problems.engine.inference import timed_formats
from problems.engine.runtime.errors import ConfigError
from tasks.results import Result


@dataclass(frozen=True)
class Format:
    """A way to write results.

    Args:
        write: the text of one result.
        suffix: of its file.
        begin, between, end: what encloses several results in one stream.
        timed: it writes what has times.
        alone: a file has one result only.
        by_id: results are told apart by the names of their files without folders.
        header: the first line of a stream, given the first result.
    """

    write: Callable[[Result], str]
    suffix: str
    begin: str = ""
    between: str = ""
    end: str = ""
    timed: bool = False
    alone: bool = False
    by_id: bool = False
    header: Callable[[Result], str] | None = None


def check(name: str, result: Result) -> None:
    """Raise ConfigError if a result cannot be written in a format."""
    if FORMATS[name].timed and not result.tiers():
        untimed = ", ".join(key for key, own in FORMATS.items() if not own.timed)
        raise ConfigError(f"--format {name} is for times, and a {type(result).__name__} has none: use {untimed}")


# ---- one result ----


def _text(result: Result) -> str:
    return f"{result.source}\t{result}\n"


def _json(result: Result) -> str:
    return json.dumps(result.to_dict(), ensure_ascii=False, allow_nan=False)


def _row(values: Sequence[Any]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue()


def _csv(result: Result) -> str:
    cells = result.to_dict().values()
    return _row([json.dumps(own, ensure_ascii=False) if isinstance(own, (list, dict)) else own for own in cells])


def _csv_header(result: Result) -> str:
    return _row(list(result.to_dict()))


FORMATS = {
    "text": Format(_text, ".txt"),
    "json": Format(_json, ".json", begin="[\n", between=",\n", end="\n]\n"),
    "jsonl": Format(lambda result: f"{_json(result)}\n", ".jsonl"),
    "csv": Format(_csv, ".csv", header=_csv_header),
    "ctm": Format(timed_formats.ctm, ".ctm", timed=True, by_id=True),
    "rttm": Format(timed_formats.rttm, ".rttm", timed=True, by_id=True),
    "textgrid": Format(timed_formats.textgrid, ".TextGrid", timed=True, alone=True),
    "srt": Format(timed_formats.srt, ".srt", timed=True, alone=True),
    "vtt": Format(timed_formats.vtt, ".vtt", timed=True, alone=True),
}
"""The formats by name, as ``predict --format`` takes them."""
