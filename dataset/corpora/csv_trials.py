"""The user's own CSV files for speaker verification."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from dataset.corpora.common.base import CorpusError, Row, Splits
from dataset.corpora.common.csv_rows import CsvRow
from dataset.corpora.common.draw_trials import draw_trials
from dataset.corpora.common.folders import audio_place
from dataset.corpora.common.tables import Lines, select
from dataset.corpora.csv import Csv
from dataset.setting import setting
from dataset.wording import nearest


@dataclasses.dataclass
class CsvTrials(Csv):
    """Utterances with a column ``spk``, read and divided as by :class:`Csv`; speakers are never divided.

    The utterances for validation and testing become trials: pairs of utterances, half of them of the same speaker. A
    ``valid`` or ``test`` CSV with the columns ``id1, id2, wav_path1, wav_path2, label`` is a list of trials and is used
    as it is. An enrolment of several utterances joins their ids, and their paths, by " ; ".

    No speaker and no file may be in two of train, valid and test. In a list of trials only the files are checked, since
    it names no speakers.
    """

    num_trials: int = setting(10000, "validation trials, and trials of each test set, half of the same speaker", min=2)
    split_by: str = setting("spk", "column whose groups are never divided between splits")

    def load(self, cache_dir: Path) -> Splits:
        """Training rows, and trials with ``id1, id2, wav_path1, wav_path2, label``."""
        if self.valid is None and not self.valid_fraction:
            raise CorpusError(
                "there is no valid set, from which verification takes its threshold: set valid to a CSV, or"
                " valid_fraction above 0"
            )
        splits = super().load(cache_dir)
        test = {name: self._trials(rows, name) for name, rows in splits.test.items()}
        return Splits(train=splits.train, valid=self._trials(splits.valid, "valid"), test=test)

    def _utterances(self, lines: Lines, file: Path, split: str) -> list[CsvRow]:
        """The utterances of a CSV, or the trials of a list of trials."""
        if split == "train" or "id1" not in lines[0][1]:
            return super()._utterances(lines, file, split)
        selected = select(lines, self.where.get(split, {}), f"where.{split}", file)
        return [CsvRow(_absolute_trial(line, file, number), True, group="", identity="") for number, line in selected]

    def _utterance(self, line: Row, file: Path, number: int) -> CsvRow:
        if "spk" not in line and "spk" not in self.columns:
            raise CorpusError(
                f"{file} has no column 'spk'{nearest('spk', list(line))}; it has {', '.join(line)}; "
                "set columns: {spk: your column of speakers}"
            )
        utterance = super()._utterance(line, file, number)
        if not utterance.row["spk"]:
            raise CorpusError(f"{file}, line {number}: the column 'spk' is empty")
        return utterance

    def _claims(self, utterance: CsvRow) -> list[tuple[str, str, Any]]:
        row = utterance.row
        if "id1" in row:
            return [("the file", path, path) for path in _files(row)]
        more = [("the speaker", row["spk"], row["spk"]), ("the file", row["wav_path"], row["wav_path"])]
        return [*super()._claims(utterance), *more]

    def _trials(self, rows: list[Row], name: str) -> list[Row]:
        """The trials of a list, or trials drawn between utterances."""
        if rows and "id1" in rows[0]:
            return rows
        for row in rows:
            if row.get("start_sec") or row.get("end_sec"):
                raise CorpusError(
                    f"the {name} set of {self.train}: {row['id']!r} is a segment of {row['wav_path']}, but a trial "
                    "compares whole files; cut the segments for validation and testing into files"
                )
        try:
            return draw_trials(rows, self.num_trials, f"{self.seed}/{name}", "spk")
        except CorpusError as error:
            raise CorpusError(f"the {name} set of {self.train}: {error}") from None


def _absolute_trial(line: Row, file: Path, number: int) -> Row:
    """A line of a list of trials, with absolute paths."""
    from dataset import SEPARATOR
    from dataset.trial_tables import COLUMNS, split_side

    for column in COLUMNS:
        if not line.get(column):
            problem = "is empty" if column in line else f"is missing; a trial has {', '.join(COLUMNS)}"
            raise CorpusError(f"{file}, line {number}: the column {column!r} {problem}")
    paths = {}
    for side in (1, 2):
        try:
            files = [path for _, path in split_side(line[f"id{side}"], line[f"wav_path{side}"])]
        except ValueError as error:
            raise CorpusError(f"{file}, line {number}: {error}") from error
        paths[f"wav_path{side}"] = SEPARATOR.join(audio_place(path, file.parent) for path in files)
    return {**line, **paths}


def _files(row: Row) -> list[str]:
    """The files of both sides of a trial."""
    from dataset.trial_tables import split_side

    return [path for side in (1, 2) for _, path in split_side(row[f"id{side}"], row[f"wav_path{side}"])]
