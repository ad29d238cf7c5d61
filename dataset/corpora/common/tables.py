"""Tables that users wrote: read strictly, with errors that name the file and the line."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from dataset.corpora.common.base import CorpusError, Row
from dataset.wording import nearest


def require_table(file: Path) -> Path:
    """Return ``file``, or raise a CorpusError if it does not exist."""
    if not file.is_file():
        raise CorpusError(f"there is no CSV file {file}")
    return file


def read_table(file: Path) -> list[tuple[int, Row]]:
    """Number (1 is the file's first line) and columns of each row; a nameless first one (pandas' index) goes."""
    require_table(file)
    dialect = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if file.suffix == ".tsv" else {}
    rows: list[tuple[int, Row]] = []
    try:
        with open(file, encoding="utf-8-sig", newline="") as text:
            reader = csv.reader(text, strict=True, **dialect)
            header = next(reader, [])
            if not any(header) or len(set(header)) < len(header) or "" in header[1:]:
                raise CorpusError(f"{file} must open with a line of column names, all different; it has {header}")
            for cells in reader:
                if not cells:
                    continue
                if len(cells) != len(header):
                    raise CorpusError(
                        f"{file}, line {reader.line_num}: {len(cells)} cells under a header of {len(header)}"
                    )
                rows.append((reader.line_num, {name: cell for name, cell in zip(header, cells) if name}))
    except (csv.Error, UnicodeDecodeError) as error:
        raise CorpusError(
            f"{file} is not a CSV in UTF-8, near line {rows[-1][0] + 1 if rows else 1}: {error}"
        ) from error
    return rows


def select(lines: list[tuple[int, Row]], conditions: Mapping, setting: str, file: Path) -> list[tuple[int, Row]]:
    """The lines whose column is the value, or one of the values, of every condition."""
    for column, values in conditions.items():
        header = list(lines[0][1])
        if column not in header:
            raise CorpusError(
                f"{file} has no column {column!r}{nearest(column, header)}, which {setting} asks for; "
                f"it has {', '.join(header)}"
            )
        wanted = {
            "" if value is None else str(value) for value in (values if isinstance(values, list | tuple) else [values])
        }
        kept = [(number, line) for number, line in lines if line[column] in wanted]
        if not kept:
            there = sorted({line[column] for _, line in lines})
            shown = ", ".join(repr(value) for value in there[:10]) + (", ..." if len(there) > 10 else "")
            raise CorpusError(f"{file}: {setting}.{column} = {values!r} keeps no row; the column has {shown}")
        lines = kept
    return lines
