"""The user's own CSV files for speaker verification."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from dataset.corpora.common.base import CorpusError, Row, Splits
from dataset.corpora.common.csv_rows import CsvRow
from dataset.corpora.common.draw_trials import draw_trials
from dataset.corpora.common.folders import absolute, audio_place
from dataset.corpora.common.tables import Lines, read_table, select
from dataset.corpora.csv import Csv
from dataset.setting import REQUIRED, setting
from dataset.wording import nearest


@dataclasses.dataclass
class CsvTrials(Csv):
    """Utterances with a column ``spk``, read and divided as by :class:`Csv`; speakers are never divided.

    The utterances for validation and testing become trials: pairs of utterances, half of them of the same speaker. A
    ``valid`` or ``test`` CSV with the columns ``id1, id2, wav_path1, wav_path2, label`` is a list of trials and is used
    as it is; ``trials`` lists those between the utterances of a test CSV, which then needs no ``spk``. An enrolment of
    several utterances joins their ids, and their paths, by " ; ".

    No speaker and no file may be in two of train, valid and test. In a list of trials only the files are checked, since
    it names no speakers.
    """

    valid: str | None = setting(None, "CSV file of utterances or trials to validate on; null: hold out valid_fraction")
    trials: str | None = setting(
        None,
        "CSV file of the trials between the utterances of the test set: id1, id2, label; null: the test CSV has them,"
        " or they are drawn",
    )
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
        test = self._trials_of(splits.test)
        return Splits(splits.train, self._trials(splits.valid, "valid"), test)

    def load_tests(self, cache_dir: Path) -> dict[str, list[Row]]:
        """The trials of the test sets; ``train`` and ``valid`` are not read."""
        return self._trials_of(super().load_tests(cache_dir))

    def sources(self) -> list[Path]:
        """The CSV files, and the list of trials."""
        return [*super().sources(), *([] if self.trials is None else [absolute(self.trials)])]

    def _trials_of(self, tests: dict[str, list[Row]]) -> dict[str, list[Row]]:
        """The trials of each test set: those of ``trials``, or as :meth:`_trials` says."""
        if self.trials is None:
            return {name: self._trials(rows, name) for name, rows in tests.items()}
        if len(tests) > 1:
            raise CorpusError(f"trials are of one test set, got {', '.join(tests)}: give each its own CSV of trials")
        for name, rows in tests.items():
            self._require_whole_files(rows, name)
        return {name: _listed_trials(absolute(self.trials), rows) for name, rows in tests.items()}

    def _utterances(self, lines: Lines, file: Path, split: str) -> list[CsvRow]:
        """The utterances of a CSV, or the trials of a list of trials."""
        if split == "train" or "id1" not in lines[0][1]:
            if split not in ("train", "valid") and self.trials is not None and "spk" not in self.columns:
                lines = [(number, {"spk": f"of line {number}"} | line) for number, line in lines]  # the trials tell
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
        self._require_whole_files(rows, name)
        try:
            return draw_trials(rows, self.num_trials, f"{self.seed}/{name}", "spk")
        except CorpusError as error:
            raise CorpusError(f"{self._title(name)}: {error}") from None

    def _require_whole_files(self, rows: list[Row], name: str) -> None:
        for row in rows:
            if row.get("start_sec") or row.get("end_sec"):
                raise CorpusError(
                    f"{self._title(name)}: {row['id']!r} is a segment of {row['wav_path']}, but a trial "
                    "compares whole files; cut the segments for validation and testing into files"
                )

    def _title(self, name: str) -> str:
        return f"the {name} set" if self.train == REQUIRED else f"the {name} set of {self.train}"


def _listed_trials(file: Path, utterances: list[Row]) -> list[Row]:
    """The trials of a CSV with ``id1, id2, label``, with the paths of the utterances that the ids name.

    An enrolment of several utterances joins their ids by " ; ".
    """
    from dataset import SEPARATOR

    paths = {row["id"]: row["wav_path"] for row in utterances}
    trials = []
    for number, line in read_table(file):
        for column in ("id1", "id2", "label"):
            if not line.get(column):
                problem = "is empty" if column in line else "is missing; a trial has id1, id2 and label"
                raise CorpusError(f"{file}, line {number}: the column {column!r} {problem}")
        sides = {}
        for side in (1, 2):
            ids = line[f"id{side}"].split(SEPARATOR)
            unknown = [id for id in ids if id not in paths]
            if unknown:
                raise CorpusError(
                    f"{file}, line {number}: no utterance has the id {unknown[0]!r}{nearest(unknown[0], paths)}"
                )
            sides[f"wav_path{side}"] = SEPARATOR.join(paths[id] for id in ids)
        trials.append({**line, **sides})
    if not trials:
        raise CorpusError(f"{file} has no trials below its header")
    return trials


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
