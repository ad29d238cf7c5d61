"""The user's own CSV files as a corpus."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dataset.corpora.common.base import Corpus, CorpusError, Row, Splits
from dataset.corpora.common.csv_rows import CsvRow, cell_of, check_disjoint, groups_of, id_of, named_cell, parted
from dataset.corpora.common.folders import absolute, audio_place
from dataset.corpora.common.holdout import folds_of, hold_out
from dataset.corpora.common.tables import Lines, check_conditions, read_table, select
from dataset.places.names import is_url
from dataset.setting import REQUIRED, setting
from dataset.wording import nearest


@dataclasses.dataclass
class Csv(Corpus):
    """Utterances listed in CSV files (UTF-8, a header line, commas; a ``.tsv`` has tabs and no quoting).

    ``wav_path`` is absolute or relative to the folder of its CSV. All columns are kept; ``columns`` renames some to the
    names that problems expect, or takes a key of a column of JSON objects (``extra.intent``). Without a column ``id``,
    the id is the path as written in the CSV without its suffix and without ``/``, ``./`` and ``../`` at its beginning;
    ``-<start_sec>-<end_sec>`` is added for a segment.

    A split without a CSV is held out of ``train``: groups of utterances (``split_by``; single utterances without it)
    are ordered by a hash of ``seed`` and their name, and taken from the front up to the fraction. So a split does not
    depend on the order of rows, and changes little when rows are added. ``stratify_by`` (a column, such as ``label``)
    holds out the same part of each of its values. With ``folds``, the groups are dealt to that many folds, and ``fold``
    is the test set; with ``fold_by``, the folds are the values of a column.

    No id may be in two of train, valid and test; utterances without ids are identified by their audio. Two test sets
    may share utterances. A column ``seconds`` is dropped, since the lengths are read from the audio.
    """

    train: str = setting(REQUIRED, "CSV file of the training utterances")
    valid: str | dict | None = setting(
        None, "CSV file to validate on, or several as {name: path}; null: hold out valid_fraction of train"
    )
    test: str | list | dict = setting([], "CSV file or files to test on: a path, a list of paths, or {name: path}")
    columns: dict = setting({}, "names of your columns, ours first: {wav_path: path, transcription: text}")
    where: dict = setting(
        {}, "rows to keep in train, valid, test or a named test set: {train: {your_column: value or list}}"
    )
    valid_fraction: float = setting(
        0.1, "part of train held out for validation when valid is null; 0: no validation", min=0, max=0.9
    )
    test_fraction: float = setting(0.0, "part of train held out for testing when test is empty", min=0, max=0.9)
    split_by: str = setting("", "column whose groups are never divided between splits, such as speaker")
    stratify_by: str = setting("", "column of which every value is held out in the same proportion, such as label")
    folds: int | None = setting(
        None, "number of folds for cross-validation, one of which is the test set; null: none", min=2
    )
    fold_by: str | None = setting(
        None, "column whose values are the folds, in alphabetical order, in place of folds; null: none"
    )
    fold: int = setting(0, "the fold to test on, from 0", min=0)
    seed: int = setting(0, "another seed holds out other utterances", min=0)

    def sources(self) -> list[Path]:
        """The CSV files."""
        return list(dict.fromkeys(file for path in self._paths() for file in self._files(path)))

    def load(self, cache_dir: Path) -> Splits:
        """Rows of every split."""
        test_paths = self._test_paths()
        self._check_where(test_paths)
        train, test = self._read(self.train, "train"), self._tests(test_paths)
        if not test and self._has_folds:
            held_out, train = self._fold(train)
            test = {"test": held_out}
        elif not test:
            held_out, train = self._hold_out(train, self.test_fraction, len(train), "test")
            test = {"test": held_out}
        if self.valid is not None:
            valid = self._read_valid()
        elif not self.valid_fraction:
            valid = []
        else:
            whole = len(train) + (0 if test_paths else len(test["test"]))
            valid, train = self._hold_out(train, self.valid_fraction, whole, "valid")
        check_disjoint({"train": train, "valid": valid, **test}, self._claims)
        plain = [[utterance.row for utterance in part] for part in (train, valid, *test.values())]
        return Splits(train=plain[0], valid=plain[1], test=dict(zip(test, plain[2:])))

    def load_tests(self, cache_dir: Path) -> dict[str, list[Row]]:
        """Rows of the test sets; ``train`` and ``valid`` are not read."""
        self._check_where(self._test_paths())
        return {name: [own.row for own in part] for name, part in self._tests(self._test_paths()).items()}

    def _tests(self, paths: Mapping[str, str]) -> dict[str, list[CsvRow]]:
        return {name: self._read(path, name if name in self.where else "test") for name, path in paths.items()}

    def _paths(self) -> list[str]:
        """The sets as the user wrote them; those that are not given are left out."""
        train = [] if self.train == REQUIRED else [self.train]
        return [*train, *self._valid_paths().values(), *self._test_paths().values()]

    def _valid_paths(self) -> dict[str, str]:
        """The validation sets by name; a single one has none."""
        if isinstance(self.valid, Mapping):
            if not self.valid:
                raise CorpusError("valid is {}: expected {name: path}, or null to hold out valid_fraction of train")
            return {str(name): path for name, path in self.valid.items()}
        return {} if self.valid is None else {"": self.valid}

    def _read_valid(self) -> list[CsvRow]:
        """The validation sets, one after another; the column ``corpus`` tells several of them apart."""
        utterances = []
        for name, path in self._valid_paths().items():
            for utterance in self._read(path, "valid"):
                if name and "corpus" in utterance.row:
                    raise CorpusError(
                        f"{path} has a column 'corpus', which is to hold the name of the validation set; rename it"
                    )
                own = {"corpus": name} if name else {}
                utterances.append(dataclasses.replace(utterance, row={**utterance.row, **own}))
        return utterances

    @property
    def _has_folds(self) -> bool:
        return self.folds is not None or self.fold_by is not None

    def folds_of(self, number: int | None) -> list[dict[str, Any]]:
        """The settings of each fold: of ``number`` or ``folds`` that are dealt, or of the values of ``fold_by``."""
        if self.fold_by is not None:
            found = len(self._fold_names(self._read(self.train, "train")))
            if number not in (None, found):
                raise CorpusError(f"{self.train} has {found} values of {self.fold_by!r}; expected all, got {number}")
            return [{"fold": fold} for fold in range(found)]
        number = number or self.folds
        if self.test:
            raise CorpusError(f"test is {self.test}, but every fold tests a part of train: leave out test")
        if number is None:
            raise CorpusError("expected a number, such as 5, or prepare_data.fold_by, a column of folds")
        # what else would choose a test set gives way
        return [{"test_fraction": 0.0, "folds": number, "fold": fold} for fold in range(number)]

    def _fold_names(self, utterances: list[CsvRow]) -> list[str]:
        """The values of ``fold_by``."""
        for utterance in utterances:
            if not utterance.row.get(self.fold_by):
                raise CorpusError(f"{self.train}: {utterance.row['id']!r} has no {self.fold_by!r}, which fold_by names")
        return sorted({utterance.row[self.fold_by] for utterance in utterances})

    def _test_paths(self) -> dict[str, str]:
        if isinstance(self.test, Mapping):
            paths = {str(name): path for name, path in self.test.items()}
        else:
            files = [self.test] if isinstance(self.test, str) else list(self.test)
            paths = {self._name_of(path): path for path in files}
            if len(paths) < len(files):
                raise CorpusError(
                    f"two test sets would have the same name; name them: test={{name: path}}, got {files}"
                )
        for name in paths:
            if not re.fullmatch(r"[\w][\w.-]*", name) or name in ("train", "valid"):
                raise CorpusError(
                    f"a test set cannot be called {name!r}: a name is letters, digits, '_', '-' and '.', and "
                    f"not 'train' or 'valid'; name it: test={{name: {paths[name]}}}"
                )
        if self.fold and not self._has_folds:
            raise CorpusError(f"fold is {self.fold}, but folds is null: set folds to the number of folds")
        choices = [bool(paths), bool(self.test_fraction), self.folds is not None, self.fold_by is not None]
        if sum(choices) > 1:
            raise CorpusError("test, test_fraction, folds and fold_by each choose the test set: set one of them")
        if not any(choices):
            for path in (self.train, *self._valid_paths().values()):
                self._lines(path)  # whose own error comes first
            raise CorpusError("there is no test set: set test to a path, or test_fraction to hold out a part of train")
        return paths

    def _check_where(self, test_paths: dict[str, str]) -> None:
        splits = ["train", *([] if self.valid is None else ["valid"]), *(["test", *test_paths] if test_paths else [])]
        check_conditions(self.where, splits)

    def _read(self, path: str, split: str) -> list[CsvRow]:
        file, lines = self._lines(path)
        return self._utterances(lines, file, split)

    # ---- a set as the user wrote it; subclasses read other formats ----

    unit = "line"  # the name of a row in errors
    ids_are_global = True  # False if two sets may have the same ids: their utterances are told apart by the audio

    def _files(self, path: str) -> list[Path]:
        """The files of a set, whose content decides its rows."""
        return [absolute(path)]

    def _lines(self, path: str) -> tuple[Path, Lines]:
        """The file that errors name, and the number and the columns of each row; at least one row."""
        file = absolute(path)
        lines = read_table(file)
        if not lines:
            raise CorpusError(f"{file} has no rows below its header")
        return file, lines

    def _audio_path(self, written: str, file: Path) -> Path:
        """The absolute path of the audio that a row of ``file`` names."""
        return absolute(written, file.parent)

    def _name_of(self, path: str) -> str:
        """The name of a test set without one."""
        return Path(path).stem

    def _utterances(self, lines: Lines, file: Path, split: str) -> list[CsvRow]:
        """The utterances of those lines that ``where.<split>`` selects."""
        header = list(lines[0][1])
        if any(name in header and column not in header for name, column in self.columns.items()):
            reverse = ", ".join(f"{column}: {name}" for name, column in self.columns.items())
            raise CorpusError(
                f"columns is the wrong way round for {file}, which has {', '.join(header)}: the name that the problem "
                f"expects comes first; set columns to {{{reverse}}}"
            )
        for ours, theirs in self.columns.items():
            if theirs not in header and str(theirs).partition(".")[0] not in header:
                raise CorpusError(
                    f"{file} has no column {theirs!r}{nearest(theirs, header)}; it has {', '.join(header)}; "
                    f"set columns.{ours} to one of them"
                )
        if "wav_path" not in self.columns and "wav_path" not in header:
            raise CorpusError(
                f"{file} has no column 'wav_path'{nearest('wav_path', header)}; it has {', '.join(header)}; "
                "set columns.wav_path to the one with the path of the audio"
            )
        utterances: list[CsvRow] = []
        line_of: dict[str, int] = {}
        for number, line in select(lines, self.where.get(split, {}), f"where.{split}", file):
            utterance = self._utterance(line, file, number)
            name = utterance.row["id"]
            if name in line_of:
                hint = "" if utterance.has_own_id else "; it was made from the path: set columns.id to a column of ids"
                place, other = f"{file}, {self.unit} {number}", f"{self.unit} {line_of[name]}"
                raise CorpusError(f"{place}: {other} has the same id {name!r}{hint}")
            line_of[name] = number
            utterances.append(utterance)
        return utterances

    def _utterance(self, line: Row, file: Path, number: int) -> CsvRow:
        place, renamed = f"{file}, {self.unit} {number}", set(self.columns.values())
        row = {name: text for name, text in line.items() if name not in renamed}
        row |= {ours: cell_of(line, theirs, place) for ours, theirs in self.columns.items()}
        row.pop("seconds", None)
        written = row["wav_path"]
        if not written:
            raise CorpusError(f"{place}: the path of the audio is empty")
        has_own_id = "id" in row
        if not has_own_id:
            row["id"] = id_of(written, row.get("start_sec", ""), row.get("end_sec", ""))
        elif not row["id"]:
            raise CorpusError(f"{place}: the id is empty")
        row["wav_path"] = audio_place(written, file.parent) if is_url(written) else str(self._audio_path(written, file))
        group, stratum = row["id"], ""
        both = {**line, **row}
        if self.split_by:
            group = named_cell(both, "split_by", self.split_by, place)
        if self.stratify_by:
            stratum = named_cell(both, "stratify_by", self.stratify_by, place)
        identity = row["id"]
        if not (has_own_id and self.ids_are_global):
            identity = (row["wav_path"], row.get("start_sec", ""), row.get("end_sec", ""))
        return CsvRow(row, has_own_id, group=group, identity=identity, stratum=stratum)

    def _hold_out(
        self, utterances: list[CsvRow], fraction: float, whole: int, split: str
    ) -> tuple[list[CsvRow], list[CsvRow]]:
        """``fraction`` of ``whole`` utterances, and the others."""
        sizes, strata = groups_of(utterances, self.train, split_by=self.split_by, stratify_by=self.stratify_by)
        if len(sizes) < 2:
            by = f"groups by {self.split_by!r}" if self.split_by else "utterances"
            raise CorpusError(f"{self.train} has too few {by} to hold out a {split} set: {len(sizes)} remain")
        chosen = hold_out(sizes, fraction * whole, self.seed, strata)
        return parted(utterances, chosen)

    def _fold(self, utterances: list[CsvRow]) -> tuple[list[CsvRow], list[CsvRow]]:
        """The utterances of the fold to test on, and the others."""
        if self.fold_by is not None:
            names = self._fold_names(utterances)
            if not 2 <= len(names) or self.fold >= len(names):
                raise CorpusError(f"fold is {self.fold}, and {self.fold_by!r} has the values {', '.join(names)}")
            chosen = {u.group for u in utterances if u.row[self.fold_by] == names[self.fold]}
            return parted(utterances, chosen)
        sizes, strata = groups_of(utterances, self.train, split_by=self.split_by, stratify_by=self.stratify_by)
        if self.fold >= self.folds:
            raise CorpusError(f"fold is {self.fold}: with folds={self.folds}, expected 0 to {self.folds - 1}")
        if len(sizes) < self.folds:
            raise CorpusError(f"{self.train} has {len(sizes)} groups, too few for {self.folds} folds")
        folds = folds_of(sizes, self.folds, self.seed, strata)
        return parted(utterances, {group for group, fold in folds.items() if fold == self.fold})

    def _claims(self, utterance: CsvRow) -> list[tuple[str, str, Any]]:
        """Kind, name and identity of everything that may be in only one of train, valid and test."""
        claims: list[tuple[str, str, Any]] = [("the utterance", utterance.row["id"], utterance.identity)]
        if self.split_by:
            claims.append((self.split_by, utterance.group, utterance.group))
        return claims
