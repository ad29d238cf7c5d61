"""Content digests of audio, so that results survive a move and are invalidated by a change.

A file is read once. Its digest is then cached under path, size and times. The inode's change time is among them,
which no program that copies or edits a file can set back.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dataset.places.audio_error import AudioError
from dataset.places.contents import UNKNOWN, open_place, state
from dataset.places.names import absolute
from dataset.storage.sqlite_cache import SqliteCache

COLUMNS = {"path": "TEXT", "size": "INTEGER", "mtime_ns": "INTEGER", "ctime_ns": "INTEGER", "digest": "TEXT"}
BLOCK = 1 << 20

_Key = tuple[str, int, int, int]  # absolute path, size, mtime_ns, ctime_ns


def digest_cache(cache_dir: str | os.PathLike[str]) -> SqliteCache:
    """The cached digests."""
    return SqliteCache(Path(cache_dir) / "content.sqlite", COLUMNS)


def content_digests(
    paths: Iterable[str | os.PathLike[str]], cache_dir: str | os.PathLike[str], num_workers: int = 8
) -> dict[str, str]:
    """Return the BLAKE2b digest (32 hexadecimal digits) of each file that can be read, by the path as given.

    A path may be a part of a file, or a URL. Digests are cached in ``cache_dir/content.sqlite``.
    """
    names = list(dict.fromkeys(os.fspath(path) for path in paths))
    cache = digest_cache(cache_dir)
    with ThreadPoolExecutor(max(1, num_workers)) as pool:
        keys = {name: key for name, key in zip(names, pool.map(_key, names)) if key is not None}
        cached = {row[:4]: row[4] for row in cache.load(key[0] for key in keys.values())}
        digests = {name: cached[key] for name, key in keys.items() if key in cached}
        missing = [name for name in keys if name not in digests]
        computed = dict(zip(missing, pool.map(_digest, missing)))
    # the digest of a file that changed while it was read belongs to neither of its states
    stable = {name: digest for name, digest in computed.items() if digest and _key(name) == keys[name]}
    cache.save([(*keys[name], digest) for name, digest in stable.items() if keys[name][1:] != UNKNOWN])
    return digests | stable


def _key(name: str) -> _Key | None:
    with contextlib.suppress(OSError):
        return absolute(name), *state(name)
    return None


def _digest(name: str) -> str | None:
    digest = hashlib.blake2b(digest_size=16)
    with contextlib.suppress(OSError, AudioError), open_place(name) as file:
        while block := file.read(BLOCK):
            digest.update(block)
        return digest.hexdigest()
    return None
