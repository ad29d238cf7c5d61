"""Durations, tables and CSV as text."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence

from problems.engine.runtime.errors import ConfigError

UNITS = {"s": 1, "m": 60, "h": 3600}


def duration(seconds: float | int | None) -> str:
    """A duration for people: ``4.1 s``, ``3 min 20 s``, ``2 h 05 min``; None or infinity is ``–``."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def seconds_of(text: str | float) -> float:
    """Return a budget such as ``90s``, ``5m`` or ``2h`` in seconds; a number is in seconds already.

    Raises:
        ConfigError: it is not a time above 0.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?(s|m|h|)", str(text).strip())
    seconds = float(match[1]) * UNITS.get(match[2], 1) if match else 0.0
    if seconds <= 0:
        raise ConfigError(f"budget: {text!r} is not a time: expected one such as 90s, 5m or 2h")
    return seconds


def table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    """A table in which the first ``left`` columns are aligned to the left and the others to the right."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i < left else cell.rjust(width) for i, (cell, width) in enumerate(zip(line, widths))
        ).rstrip()
        for line in lines
    )


def csv_text(lines: Iterable[Sequence[object]]) -> str:
    """Return lines of cells as CSV."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(lines)
    return file.getvalue()
