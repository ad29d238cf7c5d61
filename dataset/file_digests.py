"""Files known by their content: what was computed from one is found again where it was moved, never once it changed.

A file is read once; its digest is then remembered under path, size and times. The time of the last change of the
inode is among them, which no program that copies or edits a file can set back.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import sqlite3
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

logger = logging.getLogger(__name__)

_Key = tuple[str, int, int, int]  # absolute path, size, mtime_ns, ctime_ns
_BLOCK = 1 << 20


def content_digests(
    paths: Iterable[str | os.PathLike[str]], cache_dir: str | os.PathLike[str], num_workers: int = 8
) -> dict[str, str]:
    """The BLAKE2b digest (32 hexadecimal digits) of each file that can be read, by the path as given.

    Digests are remembered in ``cache_dir/content.sqlite``; one that cannot be used costs only time, and is said.
    """
    names = list(dict.fromkeys(os.fspath(path) for path in paths))
    memory = _Memory(Path(cache_dir) / "content.sqlite")
    with ThreadPoolExecutor(max(1, num_workers)) as pool:
        keys = {name: key for name, key in zip(names, pool.map(_key, names)) if key is not None}
        known = memory.load(key[0] for key in keys.values())
        found = {name: known[key] for name, key in keys.items() if key in known}
        missing = [name for name in keys if name not in found]
        digests = dict(zip(missing, pool.map(_digest, missing)))
    # a file that changed while it was read is under neither of its states
    stable = {name: digest for name, digest in digests.items() if digest and _key(name) == keys[name]}
    memory.save([(*keys[name], digest) for name, digest in stable.items()])
    return found | stable


def _key(name: str) -> _Key | None:
    with contextlib.suppress(OSError):
        stat = os.stat(name)
        return os.path.abspath(name), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
    return None


def _digest(name: str) -> str | None:
    digest = hashlib.blake2b(digest_size=16)
    with contextlib.suppress(OSError), open(name, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
        return digest.hexdigest()
    return None


class _Memory:
    """One sqlite table; its transactions and busy timeout make it safe under several processes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self, paths: Iterable[str]) -> dict[_Key, str]:
        """What is remembered of some files, given by their absolute paths."""
        wanted = "path IN (SELECT value FROM json_each(?))"
        sql = f"SELECT path, size, mtime_ns, ctime_ns, digest FROM content WHERE {wanted}"
        rows = self._run(sql, (json.dumps([*paths]),))
        return {row[:4]: row[4] for row in rows}

    def save(self, rows: list[tuple[str, int, int, int, str]]) -> None:
        """Remember more."""
        if rows:
            self._run("INSERT OR REPLACE INTO content VALUES (?,?,?,?,?)", rows)

    def _run(self, sql: str, given: tuple | list[tuple]) -> list[tuple]:
        """Do ``sql`` with the values given, or once for each in a list of them."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(sqlite3.connect(self.path, timeout=60)) as db, db:
                db.execute(
                    "CREATE TABLE IF NOT EXISTS content "
                    "(path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, digest TEXT) "
                    "WITHOUT ROWID"
                )
                return (db.execute if isinstance(given, tuple) else db.executemany)(sql, given).fetchall()
        except (sqlite3.DatabaseError, OSError) as error:  # locked, damaged, full disk, no permission
            logger.warning("%s cannot be used (%s); files are read to know them again", self.path, error)
            if not isinstance(error, (sqlite3.OperationalError, OSError)):
                self.path.unlink(missing_ok=True)  # damaged: what it held is only a memory
            return []
