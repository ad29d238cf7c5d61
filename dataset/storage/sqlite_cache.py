"""A cache of one sqlite table: one row a file, safe under several processes."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

logger = logging.getLogger(__name__)


class SqliteCache:
    """Rows by file. A cache that cannot be used costs time only; a warning is logged.

    Args:
        path: the sqlite file. A damaged one is moved to ``path.corrupt`` and started again.
        columns: ``{name: sqlite type}``; the first is the primary key, the file's absolute path.
    """

    def __init__(self, path: Path, columns: Mapping[str, str]) -> None:
        self.path = path
        self.table = path.stem
        self.columns = dict(columns)

    def load(self, paths: Iterable[str]) -> list[tuple]:
        """Return the rows of these files."""
        key, *_ = self.columns
        query = f"SELECT * FROM {self.table} WHERE {key} IN (SELECT value FROM json_each(?))"
        return self._execute(query, [(json.dumps([*paths]),)])

    def save(self, rows: Sequence[tuple]) -> None:
        """Insert rows, each in place of an earlier one of its file."""
        if rows:
            self._execute(f"INSERT OR REPLACE INTO {self.table} VALUES ({','.join('?' * len(self.columns))})", rows)

    def remove(self, paths: Iterable[str]) -> int:
        """Delete the rows of these files and return their number."""
        key, *_ = self.columns
        if not self.path.exists():
            return 0
        statement = f"DELETE FROM {self.table} WHERE {key} IN (SELECT value FROM json_each(?)) RETURNING {key}"
        return len(self._execute(statement, [(json.dumps([*paths]),)]))

    def _execute(self, statement: str, values: Sequence[tuple]) -> list[tuple]:
        """Run a statement for each of ``values`` in one transaction; on a new file if this one is damaged."""
        (key, key_type), *others = self.columns.items()
        columns = ", ".join([f"{key} {key_type} PRIMARY KEY", *(f"{name} {type_}" for name, type_ in others)])
        for _ in range(2):
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with contextlib.closing(sqlite3.connect(self.path, timeout=60)) as db, db:
                    db.execute(f"CREATE TABLE IF NOT EXISTS {self.table} ({columns}) WITHOUT ROWID")
                    return [row for parameters in values for row in db.execute(statement, parameters)]
            except (sqlite3.OperationalError, OSError) as error:  # locked, full disk, no permission
                logger.warning("%s cannot be used (%s); its values are computed again", self.path, error)
                return []
            except sqlite3.DatabaseError as error:
                self._move_aside(error)
        return []

    def _move_aside(self, error: Exception) -> None:
        aside = self.path.with_name(f"{self.path.name}.corrupt")
        logger.warning("%s is damaged (%s); moved to %s", self.path, error, aside.name)
        with contextlib.suppress(FileNotFoundError):  # another process was faster
            os.replace(self.path, aside)
        # a journal left behind would be rolled back into the new file
        self.path.with_name(f"{self.path.name}-journal").unlink(missing_ok=True)
