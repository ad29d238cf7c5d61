"""The contents of places: bytes to read and seek in, and whether they have changed or are truncated."""

from __future__ import annotations

import io
import os
import zlib
from typing import BinaryIO

from dataset.places import remote
from dataset.places.audio_error import AudioError
from dataset.places.names import Part, is_url, part_of

WHOLE_BYTES = 8 << 20
"""The largest part that is read at once; of a larger one only what is asked for is read, without its checksum."""
BUFFER_BYTES = 256 << 10
UNKNOWN = (0, 0, 0)
"""The state of what may change unnoticed."""


def state(place: str | os.PathLike[str]) -> tuple[int, int, int]:
    """Size in bytes and two numbers that differ if the content has changed, without reading it.

    They are the times of a file on this machine. A part at a URL is known by its checksum; other URLs are
    :data:`UNKNOWN`.

    Raises:
        OSError: there is no such file.
    """
    part = part_of(place)
    file = os.fspath(place) if part is None else part.file
    if not is_url(file):
        stat = os.stat(file)
        return (stat.st_size if part is None else part.size), stat.st_mtime_ns, stat.st_ctime_ns
    return UNKNOWN if part is None or part.crc32 is None else (part.size, part.crc32, 0)


def require_inside(part: Part) -> None:
    """Raise an AudioError if a part is not inside its file, or if there is no such file."""
    try:
        size = _file_size(part.file)
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be opened ({error.strerror})"
        raise AudioError(f"{part}: {reason}; check the path") from error
    if part.offset + part.size > size:
        raise AudioError(
            f"{part}: truncated: the part ends at byte {part.offset + part.size}, and {part.file} has {size} bytes; "
            "pack it again, or copy it again"
        )


def _file_size(file: str) -> int:
    if is_url(file):
        return remote.size(file)
    return os.stat(file).st_size


def open_place(place: str | os.PathLike[str]) -> BinaryIO:
    """Open a place for reading and seeking; a part of at most :data:`WHOLE_BYTES` is read at once, and checked.

    Raises:
        OSError: a file on this machine cannot be opened.
        AudioError: a part is truncated, or is not what its checksum says; a URL cannot be read.
    """
    part = part_of(place)
    file = os.fspath(place) if part is None else part.file
    if part is not None and part.size <= WHOLE_BYTES:
        return io.BytesIO(_content(part))
    if is_url(file):
        window = _Window(file, 0 if part is None else part.offset, _file_size(file) if part is None else part.size)
        return io.BufferedReader(window, BUFFER_BYTES)
    if part is None:
        return open(file, "rb")
    require_inside(part)
    return io.BufferedReader(_Window(file, part.offset, part.size), BUFFER_BYTES)


def _content(part: Part) -> bytes:
    """The bytes of a part: one open, one seek, one read."""
    if is_url(part.file):
        return remote.read(part.file, part.offset, part.size, part.crc32)
    with open(part.file, "rb", buffering=0) as file:
        content = os.pread(file.fileno(), part.size, part.offset)
    if len(content) < part.size:
        require_inside(part)
    if part.crc32 is not None and (crc32 := zlib.crc32(content)) != part.crc32:
        raise AudioError(
            f"{part}: the checksum of these bytes is {crc32:08x}; the file is damaged, or was packed again since this "
            "was written: use the CSVs beside it, or pack again"
        )
    return content


class _Window(io.RawIOBase):
    """A part of a file, or of a URL, as a file of its own."""

    def __init__(self, file: str, offset: int, size: int):
        super().__init__()
        self._file, self._offset, self._size, self._at = file, offset, size, 0
        self._local = None if is_url(file) else open(file, "rb", buffering=0)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: memoryview) -> int:
        size = max(0, min(len(buffer), self._size - self._at))
        if not size:
            return 0
        if self._local is not None:
            content = os.pread(self._local.fileno(), size, self._offset + self._at)
        else:
            content = remote.read(self._file, self._offset + self._at, size)
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)

    def close(self) -> None:
        if self._local is not None:
            self._local.close()
        super().close()
