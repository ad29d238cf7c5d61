"""Windows of recordings with speaker turns or events, to train on."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from dataset.diarization.turns import Turn, from_json, to_json
from dataset.metadata import read_csv

SHORTEST = 0.5
"""Seconds; a shorter rest at the end of a recording is left out."""


def windows_of(csv: str, window: float, hop: float, column: str = "turns") -> pd.DataFrame:
    """A table with a row for each window of each recording of a CSV: ``id, wav_path, seconds, start_sec, end_sec,
    turns``, the turns in seconds from the start of the window.

    Args:
        csv: with the columns ``id, wav_path, seconds, turns``.
        window, hop: in seconds; the last window of a recording may be shorter.
        column: the name of the column of turns, or of events.
    """
    rows: list[dict[str, Any]] = []
    for _, row in read_csv(csv, ("id", "wav_path", "seconds", column)).iterrows():
        turns, seconds = from_json(row[column], column), float(row["seconds"])
        number = 0
        while number == 0 or seconds - number * hop >= SHORTEST:
            start, end = number * hop, min(seconds, number * hop + window)
            rows.append(
                {
                    "id": f"{row['id']}@{start:g}",
                    "wav_path": row["wav_path"],
                    "seconds": str(round(end - start, 6)),
                    "start_sec": repr(start),
                    "end_sec": repr(end) if end < seconds else "",
                    column: to_json(inside(turns, start, end)),
                }
            )
            if end >= seconds:
                break
            number += 1
    return pd.DataFrame(rows, dtype=object)


def inside(turns: list[Turn], start: float, end: float) -> list[Turn]:
    """The parts of turns inside a span, also of a turn that covers all of it, in seconds from its start."""
    cut = [Turn(max(turn.start, start) - start, min(turn.end, end) - start, turn.speaker) for turn in turns]
    return [turn for turn in cut if turn.end > turn.start]


def check_turns(row: dict[str, str]) -> dict[str, Any]:
    """The entries ``turns`` and ``scored`` of an item.

    Raises:
        ValueError: the turns cannot be read.
    """
    from_json(row["turns"])
    if row.get("scored"):
        json.loads(row["scored"])
    return {"turns": row["turns"], "scored": row.get("scored") or ""}
