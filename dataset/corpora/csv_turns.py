"""The user's own CSV files of speaker turns."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from dataset.corpora.common.base import CorpusError, Row
from dataset.corpora.common.csv_rows import CsvRow
from dataset.corpora.common.tables import Lines, select
from dataset.corpora.csv import Csv
from dataset.diarization.turns import Turn, to_json
from dataset.wording import nearest

TIMES = ("start_sec", "end_sec")


@dataclasses.dataclass
class CsvTurns(Csv):
    """CSV files with a row for each turn: ``wav_path, speaker, start_sec, end_sec``; divided by recording as by
    :class:`Csv`.

    A recording in which nobody speaks has one row without a speaker. The id of a recording is that of its first row,
    or its path.
    """

    name_column: ClassVar[str] = "speaker"
    """The column of names: of speakers here."""
    turns_column: ClassVar[str] = "turns"
    """The column of metadata that holds the turns of a recording."""
    name_of_turn: ClassVar[str] = "a turn"

    def _utterances(self, lines: Lines, file: Path, split: str) -> list[CsvRow]:
        """One row a recording, with the column of its turns."""
        columns = (self.name_column, *TIMES)
        names = {ours: str(self.columns.get(ours, ours)) for ours in ("wav_path", *columns)}
        header = list(lines[0][1])
        for ours, theirs in names.items():
            if theirs not in header and ours in columns and ours not in self.columns:
                raise CorpusError(
                    f"{file} has no column {ours!r}{nearest(ours, header)}; it has {', '.join(header)}; set"
                    f" columns: {{{ours}: your column}}"
                )
        if self.split_by in (names[self.name_column], self.name_column):
            raise CorpusError(
                f"split_by: recordings have several {self.name_column}s; name a column that all rows of one share"
            )
        if any(theirs not in header for theirs in names.values()):
            return super()._utterances(lines, file, split)  # which says what is wrong
        recordings: dict[str, tuple[int, Row, list[Turn]]] = {}
        for number, line in select(lines, self.where.get(split, {}), f"where.{split}", file):
            path = line[names["wav_path"]]
            _, _, turns = recordings.setdefault(path, (number, line, []))
            if line[names[self.name_column]].strip():
                turns.append(self._turn(line, [names[name] for name in columns], file=file, number=number))
        merged = []
        for number, line, turns in recordings.values():
            times = {names["start_sec"]: "", names["end_sec"]: ""}
            merged.append((number, {**line, **times, self.turns_column: to_json(sorted(turns))}))
        utterances = super()._utterances(merged, file, split)
        for utterance in utterances:
            for name in columns:
                utterance.row.pop(name, None)
        return utterances

    def _turn(self, line: Row, columns: Sequence[str], *, file: Path, number: int) -> Turn:
        """The turn of a line, from the columns of its name, start and end."""
        name, start, end = (line[column].strip() for column in columns)
        try:
            times = float(start), float(end)
        except ValueError:
            times = math.nan, math.nan
        if not (math.isfinite(times[0]) and math.isfinite(times[1]) and 0 <= times[0] <= times[1]):
            raise CorpusError(
                f"{file}, line {number}: {self.name_of_turn} of {name!r} is from {start!r} to {end!r}; expected two "
                "times in seconds"
            )
        return Turn(*times, name)
