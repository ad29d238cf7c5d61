"""Read CSV files of users strictly, with errors that name the file and the line."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from dataset.corpora.common.base import CorpusError, Row
from dataset.wording import nearest

Lines = list[tuple[int, Row]]
"""The number, from 1, and the columns of each row of a file."""


def require_table(file: Path) -> Path:
    """Return ``file``, or raise a CorpusError if it does not exist."""
    if not file.is_file():
        raise CorpusError(f"there is no CSV file {file}; check the paths in prepare_data")
    return file


def read_table(file: Path, *, skipinitialspace: bool = False) -> Lines:
    """The line number, from 1, and the columns of each row. A first column without a name (pandas' index) is dropped.

    Args:
        skipinitialspace: spaces after a comma do not count.

    Raises:
        CorpusError: the file does not exist or is not a well-formed CSV in UTF-8.
    """
    require_table(file)
    dialect = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if file.suffix == ".tsv" else {}
    rows: Lines = []
    try:
        with open(file, encoding="utf-8-sig", newline="") as text:
            reader = csv.reader(text, strict=True, skipinitialspace=skipinitialspace, **dialect)
            header = next(reader, [])
            if not any(header) or len(set(header)) < len(header) or "" in header[1:]:
                raise CorpusError(f"{file}: expected a first line of column names, all different, got {header}")
            for cells in reader:
                if not cells:
                    continue
                if len(cells) != len(header):
                    raise CorpusError(f"{file}, line {reader.line_num}: expected {len(header)} cells, got {len(cells)}")
                rows.append((reader.line_num, {name: cell for name, cell in zip(header, cells) if name}))
    except (csv.Error, UnicodeDecodeError) as error:
        raise CorpusError(
            f"{file} is not a CSV in UTF-8, near line {rows[-1][0] + 1 if rows else 1}: {error}"
        ) from error
    return rows


def check_conditions(where: Mapping, sets: Sequence[str]) -> None:
    """Check that the conditions on rows are of sets that have a CSV, each a mapping; otherwise a CorpusError."""
    for name, conditions in where.items():
        if name not in sets:
            raise CorpusError(
                f"where.{name} selects rows of a set that has no CSV{nearest(name, sets)}; "
                f"where can have {', '.join(dict.fromkeys(sets))}"
            )
        if not isinstance(conditions, Mapping):
            raise CorpusError(f"where.{name}: expected {{column: value}}, got {conditions!r}")


def select(lines: Lines, conditions: Mapping, setting: str, file: Path) -> Lines:
    """The lines that meet every condition.

    Args:
        conditions: {column: value, or a list of values of which one must match}.
        setting: the setting that holds the conditions, named in errors.
    """
    for column, values in conditions.items():
        header = list(lines[0][1])
        if column not in header:
            raise CorpusError(
                f"{file} has no column {column!r}{nearest(column, header)}, which {setting} names; "
                f"it has {', '.join(header)}"
            )
        wanted = {
            "" if value is None else str(value) for value in (values if isinstance(values, list | tuple) else [values])
        }
        matching = [(number, line) for number, line in lines if line[column] in wanted]
        if not matching:
            present = sorted({line[column] for _, line in lines})
            shown = ", ".join(repr(value) for value in present[:10]) + (", ..." if len(present) > 10 else "")
            raise CorpusError(f"{file}: no row has {setting}.{column} = {values!r}; the column has {shown}")
        lines = matching
    return lines
