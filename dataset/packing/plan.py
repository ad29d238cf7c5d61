"""The plan of a packing: the utterances of each shard, a function of the CSVs, the audio and a size alone."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from dataset import SAMPLE_RATE
from dataset.places.contents import state
from dataset.table import Table, open_table
from dataset.trial_tables import read_trials

VERSION = 1
BYTES_PER_SECOND = 2 * SAMPLE_RATE
"""The size that a segment, or a file at a URL, is taken to have."""
UNSAFE = re.compile(r"[%.\\:*?\x00-\x1f\x7f]|^/|(?<=/)/|/$")
"""Characters of an id that a file name in a tar should not have; what follows a dot is a suffix for WebDataset."""


class Utterance(NamedTuple):
    """An utterance to pack: its key in the shard, its audio, and the columns that stand beside it."""

    key: str
    place: str
    start_sec: float | None
    end_sec: float | None
    columns: dict[str, str]


class Rows:
    """The utterances to pack for one CSV, memory-mapped: its rows, or the utterances of its trials.

    Args:
        name: of the set.
        table: with ``id`` and ``wav_path``.
        is_of_trials: the rows are the utterances of a list of trials.
    """

    def __init__(self, name: str, table: Table, is_of_trials: bool = False):
        self.name, self.table, self.is_of_trials = name, table, is_of_trials
        self._start, self._end = (table.times(column) for column in ("start_sec", "end_sec"))

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int) -> Utterance:
        row = self.table.row(index)
        columns = {name: cell for name, cell in row.items() if name not in ("wav_path", "start_sec", "end_sec")}
        start, end = (_time(times, index) for times in (self._start, self._end))
        return Utterance(key_of(row["id"]), row["wav_path"], start, end, columns)

    def sizes(self) -> np.ndarray:
        """The bytes that each utterance will take, about, int64 (N,)."""
        return np.array([_size(self[index]) for index in range(len(self))], dtype=np.int64)


@dataclass(frozen=True)
class Shard:
    """Rows ``begin`` to ``end`` of a set, in a file called ``name``."""

    name: str
    rows: Rows
    begin: int
    end: int

    def __iter__(self) -> Iterator[Utterance]:
        return (self.rows[index] for index in range(self.begin, self.end))

    def digest(self) -> str:
        """A digest of all that decides the shard's bytes: the rows, and the size and time of each audio file.

        A URL is taken to hold the same as long as it is the same.
        """
        digest = hashlib.blake2b(str(VERSION).encode(), digest_size=16)
        for utterance in self:
            digest.update(json.dumps([*utterance, _state(utterance.place)]).encode())
        return digest.hexdigest()


def key_of(id: str) -> str:
    """The name of an utterance's files in a shard, without suffix; no two ids have the same."""
    return UNSAFE.sub(lambda match: f"%{ord(match[0]):02X}", id)


def rows_of(csvs: Sequence[str | os.PathLike[str]]) -> list[Rows]:
    """The utterances to pack for each CSV.

    Lists of trials share utterances: a file is packed for the first list that names it.
    """
    sets, packed = [], set()
    for csv in csvs:
        table = open_table(csv, may_be_empty=True)
        is_of_trials = "wav_path1" in table.columns
        if is_of_trials:
            own = {id: place for id, place in read_trials(csv)[1].items() if place not in packed}
            packed |= {*own.values()}
            table = Table.of(pd.DataFrame({"id": [*own], "wav_path": [*own.values()]}, dtype=object), csv)
        sets.append(Rows(Path(csv).stem, table, is_of_trials))
    return sets


def shards_of(rows: Rows, shard_bytes: int) -> list[Shard]:
    """The shards of a set: consecutive rows, as many as ``shard_bytes`` hold, but at least one."""
    begins, filled = [], 0
    for index, size in enumerate(rows.sizes()):
        if not begins or filled + size > shard_bytes:
            begins.append(index)
            filled = 0
        filled += size
    ends = [*begins[1:], len(rows)]
    return [
        Shard(f"{rows.name}-{number:06d}.tar", rows, begin, end)
        for number, (begin, end) in enumerate(zip(begins, ends))
    ]


def _time(times: np.ndarray | None, index: int) -> float | None:
    return None if times is None or np.isnan(times[index]) else float(times[index])


def _size(utterance: Utterance) -> int:
    is_whole = utterance.start_sec is None and utterance.end_sec is None
    estimate = round(float(utterance.columns.get("seconds") or 0) * BYTES_PER_SECOND)
    return (is_whole and _state(utterance.place)[0]) or estimate


def _state(place: str) -> tuple[int, int]:
    """Size and time of a file; zeros for a URL, and for a file that is missing, which is told when it is read."""
    try:
        return state(place)[:2]
    except OSError:
        return 0, 0
