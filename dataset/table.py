"""The compiled table of a metadata CSV: memory-mapped columns, shared by all workers and processes.

``data.csv`` is compiled to ``data.arrow`` beside it (Apache Arrow's IPC format) when it is first opened, and again when
its content has changed. A training then holds no Python object per utterance. Of a folder that cannot be written to,
the table is compiled anew by each process, in memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from dataset.metadata import PATH_COLUMNS, MetadataError, missing_column, parse_numbers
from dataset.places.names import join
from dataset.storage.compiled_table import NUMBER, NUMBERS, ORDER, compile_csv, mapped

if TYPE_CHECKING:
    import pyarrow


class Strings(Sequence[str]):
    """A column of strings in two arrays.

    A list of Python objects would be copied page by page into every worker, because reading an object writes its
    reference count (speechbrain issue 872).

    Args:
        data: the UTF-8 of all strings, uint8.
        ends: int64 (N + 1,); string ``i`` is ``data[ends[i] : ends[i + 1]]``.
        folder: joined before each string; for relative paths.
    """

    def __init__(self, data: np.ndarray, ends: np.ndarray, folder: str = ""):
        self._data, self._ends, self._folder = data, ends, folder

    @classmethod
    def of(cls, values: Sequence[str]) -> Strings:
        """A column of these strings."""
        encoded = [value.encode("utf-8", "surrogatepass") for value in values]
        ends = np.cumsum([0] + [len(value) for value in encoded])
        return cls(np.frombuffer(b"".join(encoded), dtype=np.uint8), ends)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(index)
        text = self._data[self._ends[index] : self._ends[index + 1]].tobytes().decode("utf-8", "surrogatepass")
        return join(self._folder, text) if self._folder else text


class Table:
    """The rows of a metadata CSV, or of a DataFrame that was derived from one.

    Args:
        csv: the file, for messages.
        columns: the strings of each column.
        numbers: columns that are known as numbers, float64 (N,), NaN for an empty cell.
        by_length: the rows by falling ``seconds``, int32 (N,), if that is known.
    """

    def __init__(
        self,
        csv: str | os.PathLike[str],
        columns: dict[str, Strings],
        numbers: dict[str, np.ndarray] | None = None,
        by_length: np.ndarray | None = None,
    ):
        self.csv, self.columns, self.by_length = os.fspath(csv), columns, by_length
        self._numbers = numbers or {}

    @classmethod
    def of(cls, df: pd.DataFrame, csv: str | os.PathLike[str]) -> Table:
        """The rows of a table of strings; ``csv`` is the file it was derived from."""
        return cls(csv, {column: Strings.of(df[column].tolist()) for column in df.columns})

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def row(self, index: int) -> dict[str, str]:
        """The cells of a row by column."""
        return {name: values[index] for name, values in self.columns.items()}

    def rows(self) -> Iterator[dict[str, str]]:
        """The rows in order."""
        return (self.row(index) for index in range(len(self)))

    def strings(self, name: str) -> Strings:
        """A column.

        Raises:
            MetadataError: there is none of that name.
        """
        if name not in self.columns:
            raise MetadataError(missing_column(self.csv, name, list(self.columns)))
        return self.columns[name]

    def numbers(self, name: str) -> np.ndarray:
        """A column as float64 (N,), all finite.

        Raises:
            MetadataError: the column is missing, or a cell is not a finite number; the message names the first.
        """
        values = self._numbers.get(name)
        if values is None or not np.isfinite(values).all():
            return parse_numbers(list(self.strings(name)), name, self.csv)
        return values

    def times(self, name: str) -> np.ndarray | None:
        """An optional column of seconds, float64 (N,), NaN for an empty cell; None if no cell has a time.

        Raises:
            MetadataError: a cell is neither empty nor a finite number.
        """
        if name in self._numbers:
            values = self._numbers[name]
        elif name in self.columns:
            cells = list(self.columns[name])
            values = parse_numbers([cell or "0" for cell in cells], name, self.csv)
            values = np.where([cell == "" for cell in cells], np.nan, values)
        else:
            return None
        return None if np.isnan(values).all() else values


def open_table(path: str | os.PathLike[str], required: Sequence[str] = (), *, may_be_empty: bool = False) -> Table:
    """The compiled table of a metadata CSV, compiled now if it was not, or if the CSV has changed.

    Relative paths are those of :func:`dataset.metadata.read_csv`.

    Args:
        required: columns that it must have.
        may_be_empty: accept a file without a row below its header, as a validation set may be.

    Raises:
        MetadataError: as :func:`dataset.metadata.read_csv`.
    """
    path = Path(path)
    compiled = path.with_suffix(".arrow")
    table = mapped(compiled, path)
    if table is None:
        table = compile_csv(path, compiled)
    columns = {name: _strings(table, name, path) for name in table.column_names if not _is_derived(name)}
    for column in required:
        if column not in columns:
            raise MetadataError(missing_column(path, column, list(columns)))
    if not len(table) and not may_be_empty:
        raise MetadataError(f"{path}: there is no row below the header; expected at least one")
    numbers = {name: _numbers(table, NUMBER + name) for name in NUMBERS if NUMBER + name in table.column_names}
    by_length = _numbers(table, ORDER) if ORDER in table.column_names else None
    return Table(path, columns, numbers, by_length)


def _is_derived(name: str) -> bool:
    return name.startswith(NUMBER) or name == ORDER


def _strings(table: pyarrow.Table, name: str, path: Path) -> Strings:
    folder = os.path.dirname(os.path.abspath(path)) if name in PATH_COLUMNS else ""
    array = _one_chunk(table, name)
    _, ends, data = array.buffers()
    ends = (
        np.frombuffer(ends, dtype=np.int64)[array.offset : array.offset + len(array) + 1] if ends else np.zeros(1, int)
    )
    return Strings(np.frombuffer(data or b"", dtype=np.uint8), ends, folder)


def _numbers(table: pyarrow.Table, name: str) -> np.ndarray:
    return _one_chunk(table, name).to_numpy(zero_copy_only=len(table) > 0)


def _one_chunk(table: pyarrow.Table, name: str) -> Any:
    column = table.column(name)
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
