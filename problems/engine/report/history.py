"""The metric history of a training, as it is read back: the rows of metrics.jsonl."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HISTORY = "metrics.jsonl"
DECLARATIONS = "declarations.json"
SAMPLES = "samples.jsonl"
"""The sample utterances of each validation: rows with ``step`` and ``samples`` (``id, reference, hypothesis``,
and perhaps ``posteriors``)."""
STEP_PARTS = ("data", "forward", "backward", "optimizer")
"""The parts of a step whose milliseconds are logged, as ``<part>_ms``."""
MEMORY = "memory_gb"
"""The most memory so far: of the GPU, or of the process."""
TIMES = ("seconds", "steps_per_second", *(f"{part}_ms" for part in STEP_PARTS), MEMORY)
"""The values that differ between two equal runs."""


def of_set(metric: str, name: str) -> str:
    """Return the name of a metric of one of several sets, such as ``wer/digits``."""
    return f"{metric}/{name}"


def of_all_sets(metric: str) -> str:
    """Return the name of the same metric of all sets together: ``wer`` for ``wer/digits``."""
    return metric.partition("/")[0]


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


def read_samples(train_dir: Path) -> list[dict[str, Any]]:
    """Return the sample utterances of each validation, without lines that are damaged."""
    path, rows = Path(train_dir) / SAMPLES, []
    for line in path.read_bytes().splitlines() if path.is_file() else ():
        try:
            row = json.loads(line)
            texts = [[sample[name] for name in ("id", "reference", "hypothesis")] for sample in row["samples"]]
            if isinstance(row["step"], int) and all(isinstance(text, str) for own in texts for text in own):
                rows.append({"step": row["step"], "samples": row["samples"]})
        except (ValueError, KeyError, TypeError):
            continue
    return rows
