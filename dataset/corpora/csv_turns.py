"""The user's own CSV files of speaker turns."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from dataset.corpora.common.base import CorpusError, Row
from dataset.corpora.csv import Csv, CsvRow
from dataset.diarization.turns import Turn, to_json
from dataset.wording import nearest


@dataclasses.dataclass
class CsvTurns(Csv):
    """CSV files with a row for each turn: ``wav_path, speaker, start_sec, end_sec``; divided by recording as by
    :class:`Csv`.

    A recording in which nobody speaks has one row without a speaker. The id of a recording is that of its first row,
    or its path.
    """

    def _utterances(self, lines: list[tuple[int, Row]], file: Path, split: str) -> list[CsvRow]:
        """One row a recording, with the column ``turns``."""
        header = list(lines[0][1])
        for name in ("speaker", "start_sec", "end_sec"):
            if name not in self.columns and name not in header:
                raise CorpusError(
                    f"{file} has no column {name!r}{nearest(name, header)}; it has {', '.join(header)}; set"
                    f" columns: {{{name}: your column}}"
                )
        recordings: dict[str, list[Row]] = {}
        found: dict[str, CsvRow] = {}
        for utterance in super()._utterances(lines, file, split):
            path = utterance.row["wav_path"]
            recordings.setdefault(path, []).append(utterance.row)
            found.setdefault(path, utterance)
        return [self._recording(found[path], rows, file) for path, rows in recordings.items()]

    def _recording(self, first: CsvRow, rows: list[Row], file: Path) -> CsvRow:
        turns = []
        for row in rows:
            if row["speaker"]:
                turns.append(_turn(row, file))
        columns = {key: value for key, value in rows[0].items() if key not in ("speaker", "start_sec", "end_sec")}
        if not first.has_own_id:
            columns["id"] = str(Path(columns["wav_path"]).with_suffix("").name)
        columns["turns"] = to_json(sorted(turns))
        return dataclasses.replace(
            first, row=columns, identity=columns["id"] if first.has_own_id else (columns["wav_path"], "", "")
        )


def _turn(row: Row, file: Path) -> Turn:
    try:
        start, end = float(row["start_sec"]), float(row["end_sec"])
    except ValueError:
        start, end = 0.0, -1.0
    if not 0 <= start <= end:
        raise CorpusError(
            f"{file}: a turn of {row['speaker']!r} in {row['wav_path']} is from {row['start_sec']!r} to"
            f" {row['end_sec']!r}; expected two times in seconds"
        )
    return Turn(start, end, row["speaker"])
