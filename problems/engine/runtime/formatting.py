"""How numbers and tables are written for people; results.json keeps the full numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

# by a word of a metric's name: fractions that the field quotes in percent
RATES = {
    "acc", "accuracy", "alarm", "cer", "der", "ece", "eer", "error", "f1", "jer", "map", "miss", "per", "precision",
    "recall", "uar", "wer",
}  # fmt: skip
UPPER = {"cer", "der", "ece", "eer", "jer", "map", "per", "uar", "wer"}


def is_rate(name: str) -> bool:
    """Whether a metric is a fraction to be shown in percent."""
    words = name.lower().split("_")
    return words[-1] != "threshold" and any(word in RATES or re.fullmatch(r"top\d+", word) for word in words)


def is_count(name: str, value: float | int) -> bool:
    """Whether a value reads as a count: a whole number that is no rate (a loop may store it as a float)."""
    return not is_rate(name) and float(value).is_integer() and abs(value) < 1e12


def label(name: str) -> str:
    """A metric's name in a heading."""
    words = [word.upper() if word in UPPER else word for word in name.split("_")]
    return " ".join(words)


def number(name: str, value: float | int | None) -> str:
    """A metric's value: percent for rates, digits for whole numbers (counts), four figures for the rest."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if is_rate(name):
        return f"{100 * value:.2f}%"
    return f"{int(value):,}" if is_count(name, value) else f"{value:.4g}"


def duration(seconds: float | int | None) -> str:
    """``4.1 s``, ``3 min 20 s``, ``2 h 05 min``."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    """Aligned columns, the first ``left`` of them to the left and the others to the right."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i < left else cell.rjust(width) for i, (cell, width) in enumerate(zip(line, widths))
        ).rstrip()
        for line in lines
    )
