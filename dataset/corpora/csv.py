"""The user's own CSV files as a corpus."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from dataset.corpora.common.base import Corpus, CorpusError, Row, Splits
from dataset.corpora.common.holdout import folds_of, hold_out
from dataset.corpora.common.tables import read_table, require_table, select
from dataset.setting import REQUIRED, setting
from dataset.wording import nearest


@dataclasses.dataclass
class Csv(Corpus):
    """Utterances listed in CSV files (UTF-8, a header line, commas; a ``.tsv`` has tabs and no quoting).

    ``wav_path`` is absolute or relative to the folder of its CSV. All columns are kept; ``columns`` renames
    some to the names that problems expect, or takes a key of a column of JSON objects (``extra.intent``).
    Without an ``id`` column the id is the path as written in the CSV without its suffix and any ``/``, ``./``
    and ``../`` before it, and with ``-<start_sec>-<end_sec>`` for a segment.

    What is not given is held out of ``train``: groups of utterances (``split_by``; each utterance by itself
    without it) are ordered by a hash of ``seed`` and their name, and taken from the front until they have the
    fraction wanted. So a split does not depend on the order of rows, and changes little when some are added.
    ``stratify_by`` (a column, such as ``label``) holds out the same part of each of its values. With ``folds``,
    the groups are dealt to so many folds, and ``fold`` is the test set.

    No id may be in two of train, valid and test; utterances without ids of their own are told apart by their
    audio. Two test sets may share utterances. A column ``seconds`` is left out: the audio itself says how
    long it is.
    """

    train: str = setting(REQUIRED, "CSV file of the training utterances")
    valid: str | None = setting(None, "CSV file to validate on; null: hold out valid_fraction of train")
    test: str | list | dict = setting([], "CSV file or files to test on: a path, a list of paths, or {name: path}")
    columns: dict = setting({}, "names of your columns, ours first: {wav_path: path, transcription: text}")
    where: dict = setting(
        {}, "rows to keep in train, valid, test or a named test set: {train: {your_column: value or list}}"
    )
    valid_fraction: float = setting(0.1, "part of train held out for validation when valid is null", min=0, max=0.9)
    test_fraction: float = setting(0.0, "part of train held out for testing when test is empty", min=0, max=0.9)
    split_by: str = setting("", "column whose groups are never divided between splits, such as speaker")
    stratify_by: str = setting("", "column of which every value is held out in the same proportion, such as label")
    folds: int | None = setting(None, "folds for cross-validation, of which one is the test set; null: none", min=2)
    fold: int = setting(0, "the fold to test on, from 0", min=0)
    seed: int = setting(0, "which utterances are held out", min=0)

    def sources(self) -> list[Path]:
        """The CSV files."""
        paths = [self.train, *([] if self.valid is None else [self.valid]), *self._test_paths().values()]
        return list(dict.fromkeys(_absolute(path) for path in paths))

    def load(self, cache_dir: Path) -> Splits:
        """Rows of every split. A CorpusError names the file and the row, column or setting that is wrong."""
        test_paths = self._test_paths()
        self._check_where(test_paths)
        train = self._read(self.train, "train")
        test = {name: self._read(path, name if name in self.where else "test") for name, path in test_paths.items()}
        if not test and self.folds is not None:
            held_out, train = self._fold(train)
            test = {"test": held_out}
        elif not test:
            held_out, train = self._hold_out(train, self.test_fraction, len(train), "test")
            test = {"test": held_out}
        if self.valid is not None:
            valid = self._read(self.valid, "valid")
        else:
            whole = len(train) + (0 if test_paths else len(test["test"]))
            valid, train = self._hold_out(train, self.valid_fraction, whole, "valid")
        self._check_disjoint({"train": train, "valid": valid, **test})
        plain = [[utterance.row for utterance in part] for part in (train, valid, *test.values())]
        return Splits(train=plain[0], valid=plain[1], test=dict(zip(test, plain[2:])))

    def _test_paths(self) -> dict[str, str]:
        if isinstance(self.test, Mapping):
            paths = {str(name): path for name, path in self.test.items()}
        else:
            given = [self.test] if isinstance(self.test, str) else list(self.test)
            paths = {Path(path).stem: path for path in given}
            if len(paths) < len(given):
                raise CorpusError(
                    f"two test sets would have the same name; name them: test={{name: path}}, got {given}"
                )
        for name in paths:
            if not re.fullmatch(r"[\w][\w.-]*", name) or name in ("train", "valid"):
                raise CorpusError(
                    f"a test set cannot be called {name!r}: a name is letters, digits, '_', '-' and '.', and "
                    f"not 'train' or 'valid'; name it: test={{name: {paths[name]}}}"
                )
        if self.fold and self.folds is None:
            raise CorpusError(f"fold is {self.fold}, but there are no folds: set folds to their number")
        given = [bool(paths), bool(self.test_fraction), self.folds is not None]
        if sum(given) > 1:
            raise CorpusError("test, test_fraction and folds each say what to test on: give one of them")
        if not any(given):
            for path in filter(None, (self.train, self.valid)):
                require_table(_absolute(path))
            raise CorpusError("there is no test set: set test to a CSV, or test_fraction to hold a part of train out")
        return paths

    def _check_where(self, test_paths: dict[str, str]) -> None:
        known = [
            "train",
            *([] if self.valid is None else ["valid"]),
            *(["test", *test_paths] if test_paths else []),
        ]
        for split, conditions in self.where.items():
            if split not in known:
                raise CorpusError(
                    f"where.{split} selects rows of a CSV that is not given{nearest(split, known)}; "
                    f"where can have {', '.join(dict.fromkeys(known))}"
                )
            if not isinstance(conditions, Mapping):
                raise CorpusError(f"where.{split} must be {{column: value}}, got {conditions!r}")

    def _read(self, path: str, split: str) -> list[Utterance]:
        file = _absolute(path)
        lines = read_table(file)
        if not lines:
            raise CorpusError(f"{file} has no row under its header")
        return self._utterances(lines, file, split)

    def _utterances(self, lines: list[tuple[int, Row]], file: Path, split: str) -> list[Utterance]:
        """The utterances of a CSV's lines that ``where.<split>`` keeps."""
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
        lines = select(lines, self.where.get(split, {}), f"where.{split}", file)
        found: list[Utterance] = []
        seen: dict[str, int] = {}
        for number, line in lines:
            utterance = self._utterance(line, file, number)
            name = utterance.row["id"]
            if name in seen:
                made = "" if utterance.has_own_id else "; it is made from the path: set columns.id to a column of ids"
                raise CorpusError(f"{file}, line {number}: the id {name!r} is that of line {seen[name]} already{made}")
            seen[name] = number
            found.append(utterance)
        return found

    def _utterance(self, line: Row, file: Path, number: int) -> Utterance:
        renamed = set(self.columns.values())
        row = {name: text for name, text in line.items() if name not in renamed}
        row |= {ours: _cell(line, theirs, file, number) for ours, theirs in self.columns.items()}
        row.pop("seconds", None)
        written = row["wav_path"]
        if not written:
            raise CorpusError(f"{file}, line {number}: the path of the audio is empty")
        has_own_id = "id" in row
        if not has_own_id:
            row["id"] = _id_of(written, row.get("start_sec", ""), row.get("end_sec", ""))
        elif not row["id"]:
            raise CorpusError(f"{file}, line {number}: the id is empty")
        row["wav_path"] = os.path.abspath(file.parent / os.path.expanduser(written))
        group, stratum = row["id"], ""
        both = {**line, **row}
        if self.split_by:
            group = _named(both, "split_by", self.split_by, file, number)
        if self.stratify_by:
            stratum = _named(both, "stratify_by", self.stratify_by, file, number)
        audio = (row["wav_path"], row.get("start_sec", ""), row.get("end_sec", ""))
        return Utterance(row, has_own_id, group, row["id"] if has_own_id else audio, stratum)

    def _hold_out(
        self, utterances: list[Utterance], fraction: float, whole: int, split: str
    ) -> tuple[list[Utterance], list[Utterance]]:
        """``fraction`` of ``whole`` utterances, and the others."""
        if not fraction:
            raise CorpusError(f"there is no {split} set: set {split} to a CSV, or {split}_fraction above 0")
        sizes, strata = self._groups(utterances)
        if len(sizes) < 2:
            by = f"groups by {self.split_by!r}" if self.split_by else "utterances"
            raise CorpusError(f"{self.train} has too few {by} left to hold out a {split} set: {len(sizes)}")
        chosen = hold_out(sizes, fraction * whole, self.seed, strata)
        return _parted(utterances, chosen)

    def _fold(self, utterances: list[Utterance]) -> tuple[list[Utterance], list[Utterance]]:
        """The utterances of the fold to test on, and the others."""
        sizes, strata = self._groups(utterances)
        if self.fold >= self.folds:
            raise CorpusError(f"fold is {self.fold}: with folds {self.folds} it is 0 to {self.folds - 1}")
        if len(sizes) < self.folds:
            raise CorpusError(f"{self.train} has {len(sizes)} groups, too few for {self.folds} folds")
        folds = folds_of(sizes, self.folds, self.seed, strata)
        return _parted(utterances, {group for group, fold in folds.items() if fold == self.fold})

    def _groups(self, utterances: list[Utterance]) -> tuple[dict[str, int], dict[str, str] | None]:
        """The size of each group and, with ``stratify_by``, its stratum."""
        sizes: dict[str, int] = {}
        strata: dict[str, str] = {}
        for utterance in utterances:
            sizes[utterance.group] = sizes.get(utterance.group, 0) + 1
            if strata.setdefault(utterance.group, utterance.stratum) != utterance.stratum:
                raise CorpusError(
                    f"{self.train}: {self.split_by} {utterance.group!r} has several values of {self.stratify_by!r} "
                    f"({strata[utterance.group]!r}, {utterance.stratum!r}): groups that stay together cannot be "
                    "held out by it; leave stratify_by or split_by away"
                )
        return sizes, strata if self.stratify_by else None

    def _check_disjoint(self, splits: dict[str, list[Utterance]]) -> None:
        owners: dict[Any, str] = {}
        for split, utterances in splits.items():
            role = split if split in ("train", "valid") else "test"
            for utterance in utterances:
                for kind, name, key in self._claims(utterance):
                    if owners.setdefault((kind, key), role) != role:
                        raise CorpusError(
                            f"{kind} {name!r} is in {owners[kind, key]} and in {split}; give each split its "
                            "own CSV, or select rows of one CSV: where={train: {column: value}, ...}"
                        )

    def _claims(self, utterance: Utterance) -> list[tuple[str, str, Any]]:
        """What only one of train, valid and test may have: its kind, its name, and what tells it apart."""
        found: list[tuple[str, str, Any]] = [("the utterance", utterance.row["id"], utterance.identity)]
        if self.split_by:
            found.append((self.split_by, utterance.group, utterance.group))
        return found


@dataclasses.dataclass
class Utterance:
    """A row, and what tells it apart from the rows of other splits."""

    row: Row
    has_own_id: bool
    group: str  # what is never divided between splits
    identity: str | tuple[str, str, str]  # the id, or (absolute path, start, end) where the id was made here
    stratum: str = ""


def _parted(utterances: list[Utterance], chosen: set[str]) -> tuple[list[Utterance], list[Utterance]]:
    held_out = [utterance for utterance in utterances if utterance.group in chosen]
    return held_out, [utterance for utterance in utterances if utterance.group not in chosen]


def _named(columns: Row, setting: str, name: str, file: Path, number: int) -> str:
    """The cell of the column that ``setting`` names."""
    if name not in columns:
        raise CorpusError(
            f"{file} has no column {name!r}{nearest(name, list(columns))}; "
            f"it has {', '.join(columns)}; set {setting} to one of them"
        )
    if not columns[name]:
        raise CorpusError(f"{file}, line {number}: {name!r}, by which to {setting.partition('_')[0]}, is empty")
    return columns[name]


def _cell(line: Row, name: str, file: Path, number: int) -> str:
    """The cell of a column or, for ``column.key``, what the JSON object in it has under that key; "" for nothing."""
    if name in line:
        return line[name]
    column, _, key = name.partition(".")
    try:
        found = json.loads(line[column] or "{}")
        value = found.get(key)
    except (ValueError, AttributeError) as error:
        raise CorpusError(f"{file}, line {number}: {column!r} is no JSON object, which {name!r} asks for") from error
    return "" if value is None else " ".join(str(value).split())


def _id_of(written: str, start: str, end: str) -> str:
    parts = [part for part in PurePosixPath(written).with_suffix("").parts if part not in ("/", ".", "..", "~")]
    return "-".join(["/".join(parts), *filter(None, (start, end))])


def _absolute(path: str) -> Path:
    return Path(os.path.abspath(os.path.expanduser(path)))
