"""Byte ranges of URLs: read by ``fsspec``, tried again after errors of the connection, and checked.

Only a URL that the user gives is asked for. Reads of one thread that follow each other fetch :data:`AHEAD_BYTES` at
once, so that audio read in the order of its shard needs few requests.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from dataset.places.audio_error import AudioError

AHEAD_BYTES = 4 << 20
GAP_BYTES = 64 << 10
"""The largest distance at which one read still follows another: headers and labels stand between the audio."""
WAITS_SEC = (0.5, 1.0, 2.0, 4.0)
"""The time before each further attempt."""
RETRIED_STATUS = (408, 425, 429)
"""The HTTP errors below 500 that may pass."""
LASTING = (
    FileNotFoundError,
    PermissionError,
    IsADirectoryError,
    ImportError,
    NotImplementedError,
    ValueError,
    TypeError,
)

log = logging.getLogger(__name__)
T = TypeVar("T")


class _Ahead(threading.local):
    """The bytes of a URL that this thread fetched last, and where it stopped reading them."""

    url, begin, content, read_to = "", 0, b"", 0


_ahead = _Ahead()


def read(url: str, offset: int, size: int, crc32: int | None = None) -> bytes:
    """Return ``size`` bytes from ``offset``.

    Args:
        crc32: of these bytes, if it is known.

    Raises:
        AudioError: they could not be read in ``1 + len(WAITS_SEC)`` attempts, are fewer, or are not what the checksum
            says; or the file system is not known, or not installed.
    """
    return _tried(f"{url} (bytes {offset} to {offset + size})", lambda: _checked(url, offset, size, crc32))


@functools.lru_cache(maxsize=100_000)
def size(url: str) -> int:
    """Return the size of a file in bytes, asked for once in a process.

    Raises:
        AudioError: as for :func:`read`; the server does not tell it.
    """
    length = _tried(url, lambda: _on_file_system(url, lambda file_system, place: file_system.size(place)))
    if length is None:
        raise AudioError(f"{url}: the server does not tell its size, without which it cannot be read; copy it here")
    return int(length)


def upload(path: Path, url: str) -> None:
    """Write a file to a URL, and check that its size is the same there.

    Raises:
        AudioError: that failed in ``1 + len(WAITS_SEC)`` attempts; or the file system is not known, or not installed.
    """
    wanted = path.stat().st_size

    def write_once() -> None:
        _on_file_system(url, lambda file_system, place: file_system.put_file(str(path), place))
        size = _stored_size(url)
        if size != wanted:
            raise OSError(f"{size} of {wanted} bytes arrived")

    _tried(url, write_once, "written")


def stored_size(url: str) -> int:
    """Return the size that a file has now, as :func:`size`."""
    return int(_tried(url, lambda: _stored_size(url)))


def _stored_size(url: str) -> Any:
    def ask(file_system: Any, place: str) -> Any:
        file_system.invalidate_cache()  # of its listings
        return file_system.size(place)

    return _on_file_system(url, ask)


def _tried(name: str, read_once: Callable[[], T], what: str = "read") -> T:
    """Call until it succeeds, as often as that may help."""
    for wait in WAITS_SEC:
        try:
            return read_once()
        except Exception as failure:  # each file system has its own
            error = _cause(failure)
            if not _may_pass(error):
                raise AudioError(f"{name}: {_explained(error, what)}") from error
            log.info("%s: %s; trying again in %g s", name, _reason(error), wait)
            time.sleep(wait)
    try:
        return read_once()
    except Exception as failure:
        error = _cause(failure)
        raise AudioError(f"{name}: {_explained(error, what)}, at the last of {1 + len(WAITS_SEC)} attempts") from error


def _cause(error: Exception) -> Exception:
    """The error behind fsspec's FileNotFoundError, which stands for every failure to ask for a size."""
    cause = error.__cause__
    return cause if isinstance(error, FileNotFoundError) and isinstance(cause, Exception) else error


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def _explained(error: Exception, what: str) -> str:
    if isinstance(error, ImportError):
        return (
            f"{_reason(error)}; install what reads it: pip install 'soundstage[remote]' for http, s3fs for s3, gcsfs "
            "for gs"
        )
    if isinstance(error, FileNotFoundError) or getattr(error, "status", None) == 404:
        return "no such file; check the URL"
    return f"cannot be {what} ({_reason(error)}); check the URL and the connection"


def _may_pass(error: Exception) -> bool:
    status = getattr(error, "status", None)
    if isinstance(status, int) and 400 <= status < 500:
        return status in RETRIED_STATUS
    return not isinstance(error, LASTING)


def _checked(url: str, offset: int, size: int, crc32: int | None) -> bytes:
    content = _ranged(url, offset, size)
    if len(content) != size:
        _ahead.url = ""
        raise OSError(f"got {len(content)} of {size} bytes: the file is truncated, or the connection was cut")
    if crc32 is not None and (checksum := zlib.crc32(content)) != crc32:
        _ahead.url = ""
        raise OSError(f"the checksum of these bytes is {checksum:08x}, expected {crc32:08x}: the file is damaged")
    return content


def _ranged(url: str, offset: int, size: int) -> bytes:
    """The bytes that there are of a range, from those fetched before if they hold it."""
    end = offset + size
    is_known = _ahead.url == url
    if is_known and _ahead.begin <= offset and end <= _ahead.begin + len(_ahead.content):
        _ahead.read_to = end
        return _ahead.content[offset - _ahead.begin : end - _ahead.begin]
    follows = is_known and 0 <= offset - _ahead.read_to <= GAP_BYTES
    wanted = max(size, AHEAD_BYTES) if follows else size
    span = {"start": offset, "end": offset + wanted}
    content = _on_file_system(url, lambda file_system, place: file_system.cat_file(place, **span))
    if len(content) > wanted:
        raise ValueError(f"asked for {wanted} bytes, got {len(content)}: the server cannot send a part of a file")
    _ahead.url, _ahead.begin, _ahead.content, _ahead.read_to = url, offset, content, end
    return content[:size]


def _on_file_system(url: str, call: Callable[[Any, str], T]) -> T:
    """Call with the file system of a URL and its path there."""
    import fsspec

    if "::" in url:
        raise ValueError("chained URLs (::) are not supported")
    file_system, path = fsspec.core.url_to_fs(url)  # kept by fsspec, and made anew in a worker
    return call(file_system, path)
