"""The file of a compiled table: an Arrow file beside its CSV, tied to its content by a digest."""

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
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dataset.metadata import PATH_COLUMNS, read_csv
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


def mapped(compiled: Path, path: Path) -> pyarrow.Table | None:
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


def compile_csv(path: Path, compiled: Path) -> pyarrow.Table:
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
    return mapped(compiled, path) or table  # None: the CSV has changed since


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
