"""The metric history of a training, as it is read back: the rows of metrics.jsonl."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HISTORY = "metrics.jsonl"
DECLARATIONS = "declarations.json"
TIMES = ("seconds", "steps_per_second")
"""The values that differ between two equal runs."""


def read_history(train_dir: Path) -> list[dict[str, Any]]:
    """Return the rows of the metric history, without lines that are damaged, as the last one may be after a kill."""
    return parse_history(train_dir)[0]


def parse_history(train_dir: Path) -> tuple[list[dict[str, Any]], list[int]]:
    """Return the rows of the metric history, and the numbers of the damaged lines; both empty without a history."""
    path = Path(train_dir) / HISTORY
    rows, damaged = [], []
    for number, line in enumerate(path.read_bytes().splitlines() if path.is_file() else [], 1):
        try:
            row = json.loads(line)
            is_row = isinstance(row, dict) and isinstance(row.get("step"), (int, float)) and "split" in row
        except ValueError:
            is_row = False
        if is_row:
            rows.append(row)
        elif line.strip():
            damaged.append(number)
    return rows, damaged
