"""The user's own CSV files of sound events."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from dataset.corpora.csv_turns import CsvTurns


@dataclasses.dataclass
class CsvEvents(CsvTurns):
    """CSV files with a row for each event: ``wav_path, label, start_sec, end_sec``; divided by recording as by
    :class:`Csv`.

    A recording without events has one row without a label. The id of a recording is that of its first row, or its path.
    """

    name_column: ClassVar[str] = "label"
    turns_column: ClassVar[str] = "events"
    name_of_turn: ClassVar[str] = "an event"
