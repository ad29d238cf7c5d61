"""The names of places: ``shards/train-000000.tar#offset=1536&size=48210`` is a part of a file, ``s3://...`` a URL.

``&crc32=1a2b3c4d`` after a part is compared with its bytes whenever they are read whole, and
``&frames=19680&rate=16000`` is what their header says. A URL has the scheme of an ``fsspec`` file system (``s3://``,
``https://``, ``memory://``).
"""

from __future__ import annotations

import os
import re
import urllib.parse
from typing import NamedTuple

_PART = re.compile(
    r"(?P<file>.+)#offset=(?P<offset>\d+)&size=(?P<size>\d+)"
    r"(?:&crc32=(?P<crc32>[0-9a-f]{8}))?(?:&frames=(?P<frames>\d+)&rate=(?P<rate>[1-9]\d*))?",
    re.DOTALL,
)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


class Part(NamedTuple):
    """``size`` bytes from ``offset`` of a file, and their CRC-32, frames and sample rate in Hz if they are known."""

    file: str
    offset: int
    size: int
    crc32: int | None = None
    frames: int | None = None
    rate: int | None = None

    def __str__(self) -> str:
        text = f"{self.file}#offset={self.offset}&size={self.size}"
        if self.crc32 is not None:
            text += f"&crc32={self.crc32:08x}"
        return text if self.frames is None else f"{text}&frames={self.frames}&rate={self.rate}"


def part_of(place: str | os.PathLike[str]) -> Part | None:
    """The part of a file that a place names; None for a whole file."""
    text = os.fspath(place)
    match = _PART.fullmatch(text) if "#offset=" in text else None
    if match is None:
        return None
    file, offset, size, crc32, *header = match.groups()
    return Part(file, int(offset), int(size), crc32 and int(crc32, 16), *(number and int(number) for number in header))


def file_of(place: str | os.PathLike[str]) -> str:
    """The file that holds a place."""
    part = part_of(place)
    return os.fspath(place) if part is None else part.file


def is_url(place: str | os.PathLike[str]) -> bool:
    """True for a place that is not a path on this machine."""
    return "://" in (text := os.fspath(place)) and _URL.match(text) is not None


def join(folder: str | os.PathLike[str], place: str) -> str:
    """A place as it is meant by a file in ``folder``: a URL stays, and ``file://`` becomes a path."""
    if not is_url(place):
        return os.path.join(folder, place)
    if place[:7].lower() == "file://":
        return urllib.parse.unquote(place[7:].removeprefix("localhost"))
    return place


def absolute(place: str, folder: str | os.PathLike[str] = "") -> str:
    """:func:`join`, with the absolute form of a path."""
    joined = join(folder, place)
    return joined if is_url(joined) else os.path.abspath(joined)
