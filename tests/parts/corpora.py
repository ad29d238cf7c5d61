"""For the tests of corpora: files without audio, and the splits of a corpus by name."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from dataset.corpora import Row, Splits

needs_espeak = pytest.mark.skipif(
    importlib.util.find_spec("espeakng_loader") is None, reason="espeakng-loader (extra [toy]) is not installed"
)


def touch(path: Path) -> None:
    """Make an empty file and its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")


def rows_by_split(splits: Splits) -> dict[str, list[Row]]:
    return {"train": splits.train, "valid": splits.valid, "test": splits.test["test"]}


def values(rows: dict[str, list[Row]], column: str) -> dict[str, set[str]]:
    """The values of a column in each split."""
    return {split: {row[column] for row in part} for split, part in rows.items()}


def are_disjoint(sets: dict[str, set]) -> bool:
    return sum(map(len, sets.values())) == len(set.union(*sets.values()))
