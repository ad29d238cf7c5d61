"""The predictions of a test, as the report reads them."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

Row = Mapping[str, str]
Predictions = Sequence[Row]
COLUMNS = ("id", "reference", "hypothesis")
TRIALS = ("id1", "id2", "label", "score")


def read_predictions(path: Path, notes: list[str], required: Sequence[str] = COLUMNS) -> list[dict[str, str]] | None:
    """The rows of a predictions.csv; None if there are none, or if it lacks a ``required`` column."""
    if not path.is_file():
        notes.append(f"{_short(path)} is missing: its utterances are not shown.")
        return None
    rows: list[dict[str, str]] = []
    torn = 0
    try:
        with open(path, newline="", encoding="utf-8", errors="replace") as file:
            reader = csv.DictReader(file)
            if not set(required) <= set(reader.fieldnames or ()):
                return None
            for row in reader:
                if None in row or None in row.values():
                    torn += 1
                else:
                    rows.append(row)
    except csv.Error as error:
        notes.append(f"{_short(path)} is damaged after row {len(rows)} ({error}): the rest is not shown.")
    if torn:
        notes.append(f"{_short(path)}: {torn} torn row(s) left out.")
    return rows


def is_target(row: Row) -> bool:
    """True if a trial is of one speaker."""
    return row["label"] in ("1", "target")


def number_in(cell: str) -> float | None:
    """The number in a cell, with True as 1; None if it is not a finite number."""
    try:
        value = float({"True": "1", "False": "0"}.get(cell, cell))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def numbers_in(rows: Predictions, column: str) -> np.ndarray | None:
    """A column as numbers (N,); None if a cell is none, or if there is no such column."""
    values = [number_in(row.get(column, "")) for row in rows]
    return None if not values or None in values else np.array(values, dtype=float)


def _short(path: Path) -> str:
    return "/".join(path.parts[-4:])
