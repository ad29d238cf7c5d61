"""Lengths and sample rates of many audio files, read from their headers and cached."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from dataset.audio import AudioError, info
from dataset.places.contents import UNKNOWN, require_inside, state
from dataset.places.names import absolute, part_of
from dataset.storage.sqlite_cache import SqliteCache

COLUMNS = {"path": "TEXT", "size": "INTEGER", "mtime_ns": "INTEGER", "seconds": "REAL", "sample_rate": "INTEGER"}
CHUNK = 1000  # files a thread looks at in turn

_Key = tuple[str, int, int]  # absolute path, size, mtime_ns


class Header(NamedTuple):
    """The length of a file in seconds, and its sample rate in Hz."""

    seconds: float
    sample_rate: int


def header_cache(cache_dir: str | os.PathLike[str]) -> SqliteCache:
    """The cached headers."""
    return SqliteCache(Path(cache_dir) / "headers.sqlite", COLUMNS)


def durations(
    paths: Iterable[str | os.PathLike[str]], cache_dir: str | os.PathLike[str], num_workers: int = 8
) -> tuple[dict[str, float], dict[str, AudioError]]:
    """Return the seconds of each file, as :func:`headers` reads them, and the error of each bad one."""
    lengths, errors = headers(paths, cache_dir, num_workers)
    return {path: header.seconds for path, header in lengths.items()}, errors


def headers(
    paths: Iterable[str | os.PathLike[str]], cache_dir: str | os.PathLike[str], num_workers: int = 8
) -> tuple[dict[str, Header], dict[str, AudioError]]:
    """Return the header of each file, read in ``num_workers`` threads, and the error of each bad one.

    Headers are cached in ``cache_dir/headers.sqlite`` under absolute path, size and modification time. Errors are
    not, so that a repaired file is seen. Of a part of a shard that tells its length, only the shard's size is checked.

    Returns:
        ``{path: header}`` and ``{path: error}``, by the paths as given; each path is in one of them.
    """
    names = list(dict.fromkeys(os.fspath(path) for path in paths))
    errors: dict[str, AudioError] = {}
    cache = header_cache(cache_dir)
    with ThreadPoolExecutor(max(1, num_workers)) as pool:
        keys: dict[str, _Key] = {}
        for part in pool.map(_keys, (names[i : i + CHUNK] for i in range(0, len(names), CHUNK))):
            keys.update(part)
        cached = {row[:3]: Header(*row[3:]) for row in cache.load(key[0] for key in keys.values())}
        known = {name: cached[key] for name, key in keys.items() if key in cached}
        missing = [name for name in names if name not in known]
        # saved every few thousand files, so that an interrupted first pass over a large corpus is not lost
        for i in range(0, len(missing), 10 * CHUNK):
            part = missing[i : i + 10 * CHUNK]
            rows = []
            for name, result in zip(part, pool.map(_header_or_error, part)):
                if isinstance(result, AudioError):
                    errors[name] = result
                    continue
                known[name] = result
                if name in keys:
                    rows.append((*keys[name], *result))
            cache.save(rows)
    return {name: known[name] for name in names if name in known}, errors


def _keys(names: list[str]) -> dict[str, _Key]:
    """Return the cache key of each file that exists and is not at a URL; :func:`info` explains the others."""
    keys = {}
    for name in names:
        with contextlib.suppress(OSError):
            if (known := state(name)) != UNKNOWN:
                keys[name] = (absolute(name), *known[:2])
    return keys


def _header_or_error(path: str) -> Header | AudioError:
    try:
        part = part_of(path)
        if part is not None and part.frames is not None:
            require_inside(part)
            return Header(part.frames / part.rate, part.rate)
        content = info(path)
        return Header(content.seconds, content.sample_rate)
    except AudioError as error:
        return error
