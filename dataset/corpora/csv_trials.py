"""The user's own CSV files for speaker verification."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

from dataset.corpora.common.base import CorpusError, Row, Splits
from dataset.corpora.common.draw_trials import draw_trials
from dataset.corpora.common.tables import select
from dataset.corpora.csv import Csv, Utterance
from dataset.setting import setting
from dataset.wording import nearest


@dataclasses.dataclass
class CsvTrials(Csv):
    """Utterances with a column ``spk``, as :class:`Csv` reads and divides them; speakers are never divided.

    What ``Csv`` takes for validation and testing becomes trials: pairs of utterances, half of them of one speaker.
    A ``valid`` or ``test`` CSV with the columns ``id1, id2, wav_path1, wav_path2, label`` is a list of trials already
    and stays as it is; an enrolment of several utterances joins their ids, and their paths, by " ; ".

    No speaker and no file may be in two of train, valid and test. A list of trials names no speakers.
    """

    num_trials: int = setting(10000, "validation trials, and trials of each test set, half of one speaker", min=2)
    split_by: str = setting("spk", "column whose groups are never divided between splits")

    def load(self, cache_dir: Path) -> Splits:
        """Rows to train on; trials with ``id1, id2, wav_path1, wav_path2, label``."""
        splits = super().load(cache_dir)
        test = {name: self._trials(rows, name) for name, rows in splits.test.items()}
        return Splits(train=splits.train, valid=self._trials(splits.valid, "valid"), test=test)

    def _utterances(self, lines: list[tuple[int, Row]], file: Path, split: str) -> list[Utterance]:
        """Those of a CSV; of a list of trials, each trial in an utterance's place."""
        if split == "train" or "id1" not in lines[0][1]:
            return super()._utterances(lines, file, split)
        kept = select(lines, self.where.get(split, {}), f"where.{split}", file)
        return [Utterance(_given(line, file, number), True, "", "") for number, line in kept]

    def _utterance(self, line: Row, file: Path, number: int) -> Utterance:
        if "spk" not in line and "spk" not in self.columns:
            raise CorpusError(
                f"{file} has no column 'spk'{nearest('spk', list(line))}; it has {', '.join(line)}; "
                "set columns: {spk: your column of speakers}"
            )
        found = super()._utterance(line, file, number)
        if not found.row["spk"]:
            raise CorpusError(f"{file}, line {number}: 'spk' is empty")
        return found

    def _claims(self, utterance: Utterance) -> list[tuple[str, str, Any]]:
        row = utterance.row
        if "id1" in row:
            return [("the file", path, path) for path in _files(row)]
        more = [("the speaker", row["spk"], row["spk"]), ("the file", row["wav_path"], row["wav_path"])]
        return [*super()._claims(utterance), *more]

    def _trials(self, rows: list[Row], name: str) -> list[Row]:
        """A list of trials as it is, or trials between utterances."""
        if rows and "id1" in rows[0]:
            return rows
        for row in rows:
            if row.get("start_sec") or row.get("end_sec"):
                raise CorpusError(
                    f"the {name} set of {self.train}: {row['id']!r} is a segment of {row['wav_path']}, and a trial is "
                    "of whole files; cut the segments to validate and test on into files of their own"
                )
        try:
            return draw_trials(rows, self.num_trials, f"{self.seed}/{name}", "spk")
        except CorpusError as error:
            raise CorpusError(f"the {name} set of {self.train}: {error}") from None


def _given(line: Row, file: Path, number: int) -> Row:
    """A line of a list of trials with absolute paths."""
    from dataset import SEPARATOR
    from dataset.trial_tables import COLUMNS, split_side

    for column in COLUMNS:
        if not line.get(column):
            what = "is empty" if column in line else f"is not there; a trial has {', '.join(COLUMNS)}"
            raise CorpusError(f"{file}, line {number}: the column {column!r} {what}")
    paths = {}
    for side in (1, 2):
        try:
            files = [path for _, path in split_side(line[f"id{side}"], line[f"wav_path{side}"])]
        except ValueError as error:
            raise CorpusError(f"{file}, line {number}: {error}") from error
        found = (os.path.abspath(file.parent / os.path.expanduser(path)) for path in files)
        paths[f"wav_path{side}"] = SEPARATOR.join(found)
    return {**line, **paths}


def _files(row: Row) -> list[str]:
    """The files of a trial."""
    from dataset.trial_tables import split_side

    return [path for side in (1, 2) for _, path in split_side(row[f"id{side}"], row[f"wav_path{side}"])]
