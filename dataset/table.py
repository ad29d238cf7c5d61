"""The compiled table of a metadata CSV: memory-mapped columns, shared by all workers and processes.

``data.csv`` is compiled to ``data.arrow`` beside it (Apache Arrow's IPC format) when it is first opened, and again when
its content has changed. A training then holds no Python object per utterance. Of a folder that cannot be written to,
the table is compiled anew by each process, in memory.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import logging
import os
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from dataset.metadata import PATH_COLUMNS, MetadataError, missing_column, parse_numbers, read_csv
from dataset.places.names import join
from dataset.storage.files import replacing

if TYPE_CHECKING:
    import pyarrow

log = logging.getLogger(__name__)

VERSION = 1
NUMBERS = ("seconds", "start_sec", "end_sec")
"""Columns that are kept as numbers too, if every cell is one."""
NUMBER, ORDER, ORIGIN = "number:", "order:seconds", b"origin"
QUOTED = re.compile(rb'(?<![^,\r\n])"(?:[^"]|"")*"(?![^,\r\n])')
"""A whole cell in quotes."""
UNSETTLED_NS = 2 * 10**9  # a file may change again within this time, and keep its times


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
    table = _mapped(compiled, path)
    if table is None:
        table = _compile(path, compiled)
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


# ---- the file ----


def _mapped(compiled: Path, path: Path) -> pyarrow.Table | None:
    """The table in ``compiled``, memory-mapped; None if there is none, or if it is of another content of the CSV."""
    import pyarrow as pa

    try:
        table = pa.ipc.open_file(pa.memory_map(str(compiled))).read_all()
        origin = json.loads((table.schema.metadata or {})[ORIGIN])
        if origin["version"] != VERSION:
            return None
        if not _is_older(path, compiled):
            if origin["digest"] != _digest(path.read_bytes()):
                return None
            _stamp(path, compiled)
        return table
    except (OSError, pa.ArrowInvalid, KeyError, ValueError):  # absent, cut short, or of another program
        return None


def _is_older(path: Path, compiled: Path) -> bool:
    """True if the CSV has not changed since ``compiled`` was stamped.

    Nothing that copies or edits a file can set its change time back.
    """
    source, result = os.stat(path), os.stat(compiled)
    return source.st_mtime_ns == result.st_mtime_ns and result.st_ctime_ns - source.st_ctime_ns > UNSETTLED_NS


def _stamp(path: Path, compiled: Path) -> None:
    """Mark ``compiled`` as the table of the CSV's present content, by giving it the CSV's time."""
    with contextlib.suppress(OSError):
        os.utime(compiled, ns=(time.time_ns(), os.stat(path).st_mtime_ns))


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _compile(path: Path, compiled: Path) -> pyarrow.Table:
    """Read a CSV, and write the table to ``compiled`` if that is possible."""
    import pyarrow as pa

    try:
        content = path.read_bytes()
    except OSError:
        read_csv(path, ())  # says what is wrong
        raise
    table = _derived(_parsed(path, content))
    table = table.replace_schema_metadata({ORIGIN: json.dumps({"version": VERSION, "digest": _digest(content)})})
    if compiled.exists() and not _is_ours(compiled):
        log.debug("%s is compiled in memory: %s is another file", path, compiled)
        return table
    try:
        with replacing(compiled) as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=max(1, len(table)))
    except OSError as error:
        log.debug("%s is compiled in memory: %s cannot be written (%s)", path, compiled, error)
        return table
    return _mapped(compiled, path) or table  # None: the CSV has changed since


def _is_ours(compiled: Path) -> bool:
    """True unless a file is a table of another program; what a killed or damaged disk left of ours may be replaced."""
    import pyarrow as pa

    try:
        return ORIGIN in (pa.ipc.open_file(pa.memory_map(str(compiled))).schema.metadata or {})
    except (OSError, pa.ArrowInvalid):
        return True


def _parsed(path: Path, content: bytes) -> pyarrow.Table:
    """The cells of a CSV as strings, after the checks of :func:`dataset.metadata.read_csv`.

    pyarrow reads fast, the standard library explains: it is asked if anything is unusual.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv

    try:
        first = content.splitlines()[0].decode("utf-8-sig")
        (header,) = csv.reader(io.StringIO(first), strict=True)
        table = pa.csv.read_csv(
            pa.BufferReader(content),
            read_options=pa.csv.ReadOptions(block_size=1 << 24),
            parse_options=pa.csv.ParseOptions(newlines_in_values=True),
            convert_options=pa.csv.ConvertOptions(column_types=dict.fromkeys(header, pa.large_string())),
        ).combine_chunks()
        is_usual = table.column_names == header and len(set(header)) == len(header)
        is_usual &= b'"' not in content or b'"' not in QUOTED.sub(b"", content)
        for name in ("id", *PATH_COLUMNS):
            is_usual = is_usual and (name not in header or not pc.any(pc.equal(table.column(name), "")).as_py())
        if is_usual and "id" in header:
            is_usual = pc.count_distinct(table.column("id")).as_py() == len(table)
    except (IndexError, UnicodeDecodeError, csv.Error, ValueError, pa.ArrowException):
        is_usual = False
    if is_usual:
        return table
    df = read_csv(path, (), may_be_empty=True)
    folder = os.path.join(os.path.dirname(os.path.abspath(path)), "")
    for name in PATH_COLUMNS:  # as they are in the file
        if name in df:
            df[name] = [value.removeprefix(folder) for value in df[name]]
    return pa.table({name: pa.array(df[name].tolist(), pa.large_string()) for name in df.columns})


def _derived(table: pyarrow.Table) -> pyarrow.Table:
    """``table`` with its numbers, and the order by length."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for name in NUMBERS:
        if name not in table.column_names:
            continue
        cells = table.column(name)
        try:
            numbers = pc.cast(pc.if_else(pc.equal(cells, ""), None, cells), pa.float64())
        except pa.ArrowInvalid:
            continue  # whoever needs them is told which cell is none
        if pc.any(pc.invert(pc.is_finite(numbers))).as_py():
            continue
        values = numbers.to_numpy()  # NaN for an empty cell
        table = table.append_column(NUMBER + name, pa.array(values, pa.float64()))
        if name == "seconds" and not np.isnan(values).any():
            order = np.argsort(-values, kind="stable").astype(np.int32)
            table = table.append_column(ORDER, pa.array(order))
    return table
