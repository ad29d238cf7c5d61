"""Metadata CSVs: one utterance (or trial, or segment) a row, every cell a string.

Words such as "null" and "NA" are transcripts, and "0012" is an id. So no cell is taken for a number or a missing value;
:func:`numbers` converts a named column. Files are read by the standard library in strict mode, because pandas silently
pads short rows, and takes the first of surplus cells for an index.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from dataset.places.names import join
from dataset.storage.files import write_text
from dataset.wording import nearest

FIRST_COLUMNS = ("id", "wav_path", "seconds")
PATH_COLUMNS = ("wav_path", "wav_path1", "wav_path2")


class MetadataError(ValueError):
    """A CSV cannot be used as it is; the message names file, row and column."""


def write_csv(
    path: str | os.PathLike[str],
    rows: Sequence[Mapping[str, object]],
    first_columns: Sequence[str] = FIRST_COLUMNS,
) -> None:
    """Write rows atomically as UTF-8; the same rows give the same bytes.

    Args:
        path: its folder is created if needed.
        rows: cells are written as ``str(value)``; None and a missing key as an empty cell.
        first_columns: the columns that come first if any row has them; others follow in order of appearance.

    Raises:
        MetadataError: a cell is NaN, which would be read back as the word "nan".
    """
    used = dict.fromkeys(key for row in rows for key in row)
    leading = [column for column in first_columns if column in used or not rows]
    columns = leading + [column for column in used if column not in leading]
    lines = [",".join(_quoted(column) for column in columns)]
    for number, row in enumerate(rows, start=2):
        cells = [row.get(column) for column in columns]
        for column, cell in zip(columns, cells):
            if cell != cell:
                raise MetadataError(
                    f"{path}, row {number}, column {column!r}: NaN cannot be written; use a value or None"
                )
        lines.append(",".join(_quoted("" if cell is None else str(cell)) for cell in cells))
    write_text(Path(path), "\n".join(lines) + "\n")


def _quoted(text: str) -> str:
    # by hand because before Python 3.13 csv.writer leaves a carriage return bare, and csv.reader refuses that
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in ',"\r\n') else text


def read_csv(path: str | os.PathLike[str], required: Sequence[str], *, may_be_empty: bool = False) -> pd.DataFrame:
    """Read a metadata CSV, in UTF-8 with or without a byte order mark, all cells as strings.

    Relative paths in ``wav_path``, ``wav_path1`` and ``wav_path2`` are made absolute from the CSV's folder; URLs stay.
    Blank lines are skipped and not counted; in messages the header is row 1.

    Args:
        may_be_empty: accept a file without a row below its header, as a validation set may be.

    Raises:
        MetadataError: the file is missing, not UTF-8, malformed, or has no rows; a column of ``required`` is missing;
            a row has more or fewer cells than the header; an ``id`` is empty or repeated; a path is empty.
    """
    header, rows = _cells(path)
    repeated = sorted(column for column in header if header.count(column) > 1)
    if repeated:
        raise MetadataError(f"{path}: the header has {repeated[0]!r} twice; rename one of the columns")
    for column in required:
        if column not in header:
            raise MetadataError(missing_column(path, column, header))
    if not rows and not may_be_empty:
        raise MetadataError(f"{path}: there is no row below the header; expected at least one")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise MetadataError(
                f"{path}, row {number} ({row[0]!r}): {len(row)} cells, the header has {len(header)}; "
                "put a cell that contains commas in double quotes"
            )
    df = pd.DataFrame(rows, columns=header, dtype=object)  # pandas' own strings hold no odd bytes of a path
    if "id" in df:
        _check_ids(path, df["id"].tolist())
    folder = os.path.dirname(os.path.abspath(path))
    for column in PATH_COLUMNS:
        if column in df:
            values = df[column].tolist()
            if "" in values:
                raise MetadataError(
                    f"{path}, row {values.index('') + 2}: {column} is empty; expected the path of an audio file"
                )
            df[column] = pd.Series([join(folder, value) for value in values], dtype=object)
    return df


def _cells(path: str | os.PathLike[str]) -> tuple[list[str], list[list[str]]]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            rows = [row for row in reader if row]
    except FileNotFoundError:
        raise MetadataError(f"{path}: no such file; check the path, or prepare the data first") from None
    except OSError as error:
        raise MetadataError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from error
    except UnicodeDecodeError as error:
        raise MetadataError(
            f"{path}: not UTF-8 (byte {error.object[error.start]:#04x}); save the table as CSV in UTF-8"
        ) from error
    except csv.Error as error:
        raise MetadataError(
            f"{path}, line {reader.line_num}: not a CSV ({error}); double each quote inside a quoted cell, "
            "and close every quote"
        ) from error
    if not rows:
        raise MetadataError(f"{path}: the file is empty; expected a header and at least one row")
    return rows[0], rows[1:]


def _check_ids(path: str | os.PathLike[str], ids: list[str]) -> None:
    if "" in ids:
        raise MetadataError(f"{path}, row {ids.index('') + 2}: the id is empty; give every row a unique id")
    if len(set(ids)) == len(ids):
        return
    first: dict[str, int] = {}
    for number, name in enumerate(ids, start=2):
        if name in first:
            raise MetadataError(
                f"{path}: the id {name!r} is in rows {first[name]} and {number}; give every row a unique id"
            )
        first[name] = number


def missing_column(path: str | os.PathLike[str], column: str, columns: Sequence[str]) -> str:
    """The message about a column that a CSV does not have."""
    message = f"{path}: no column {column!r}; the columns are {', '.join(map(repr, columns))}"
    suggestion = nearest(column, columns)
    if suggestion:
        return f"{message}{suggestion}; rename it in the file"
    if len(columns) == 1 and any(mark in columns[0] for mark in ";\t|"):
        return f"{message}; separate the cells with commas"
    return f"{message}; add it to the file"


def numbers(df: pd.DataFrame, column: str, path: str | os.PathLike[str]) -> np.ndarray:
    """Convert a column of strings to float64 (N,), all finite.

    Args:
        path: the file of ``df``, for messages; the rows are in the file's order.

    Raises:
        MetadataError: the column is missing, or a cell is not a finite number; the message names the first.
    """
    if column not in df:
        raise MetadataError(missing_column(path, column, list(df.columns)))
    return parse_numbers(df[column].tolist(), column, path)


def parse_numbers(cells: Sequence[str], column: str, path: str | os.PathLike[str]) -> np.ndarray:
    """Convert the cells of a column as :func:`numbers` does."""
    try:
        values = np.array([float(cell) for cell in cells], dtype=np.float64)
    except ValueError:
        values = np.array([_number_or_nan(cell) for cell in cells], dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        row = int(bad[0])
        raise MetadataError(f"{path}, row {row + 2}, column {column!r}: {cells[row]!r} is not a finite number")
    return values


def _number_or_nan(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return float("nan")
