"""Audio files opened for reading, after every check that a header allows.

Only RIFF headers are read by hand: libsndfile silently accepts a header that promises more than the file holds, so a
truncated wav would go unnoticed.
"""

from __future__ import annotations

import contextlib
import io
import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

import soundfile

from dataset.places.audio_error import AudioError
from dataset.places.contents import open_place
from dataset.places.names import is_url, part_of

RATES = range(1000, 768_001)  # Hz

_UNKNOWN = 0xFFFFFFFF  # the data size that ffmpeg writes to a pipe
_SOX_UNKNOWN = range(0x7FFFF000 - 64, 0x80000000)  # that of sox and eSpeak NG, rounded down to whole frames

Source = str | os.PathLike[str] | BinaryIO
"""A path, a part of a file, a URL, or a file that is open for reading bytes."""


def name_of(source: Source) -> str:
    """The path or the name of an open file, for messages."""
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else "audio"


@contextlib.contextmanager
def open_audio(path: Source, content: BinaryIO | None = None) -> Iterator[soundfile.SoundFile]:
    """Open a file after every check that its header allows.

    An open file is read to its end, as it may be a pipe; bytes in memory are read from their start.

    Args:
        content: what the file holds, if that is known; it can seek.

    Raises:
        AudioError: as for :func:`info`.
    """
    if not isinstance(path, (str, os.PathLike)):
        whole = path.getvalue() if isinstance(path, io.BytesIO) else path.read()
        path, content = name_of(path), io.BytesIO(whole)
    with contextlib.ExitStack() as stack:
        source = _source(path, stack) if content is None else _checked_riff(path, content)
        try:
            yield stack.enter_context(_checked_file(path, source))
        except AudioError:
            if isinstance(source, _Stream) and source.error is not None:
                raise source.error from None
            raise


def _source(path: str | os.PathLike[str], stack: contextlib.ExitStack) -> str | BinaryIO | _Stream:
    """Return what soundfile is to open: a path, or a stream that is closed with ``stack``."""
    try:
        raw = stack.enter_context(open_place(path))
        source = _checked_riff(path, raw)
    except FileNotFoundError:
        raise AudioError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise AudioError(f"{path}: cannot be opened ({error.strerror}); check the path and its permissions") from error
    if isinstance(source, io.BytesIO):
        return source
    is_file = not is_url(path) and part_of(path) is None
    return os.fspath(path) if is_file else _Stream(source)  # libsndfile reads a file faster than a Python object


class _Stream:
    """A stream for libsndfile, which would print an error of Python and take it for the end of the file.

    Attributes:
        error: the first error.
    """

    def __init__(self, raw: BinaryIO):
        self.raw, self.error = raw, None
        self.seek, self.tell, self.read = raw.seek, raw.tell, raw.read  # soundfile looks for them

    def readinto(self, buffer: memoryview) -> int:
        """Fill ``buffer``, and return the number of bytes: 0 after an error."""
        try:
            return self.raw.readinto(buffer)
        except (AudioError, OSError) as error:
            self.error = self.error or error
            return 0


def _checked_file(path: str | os.PathLike[str], source: str | BinaryIO | _Stream) -> soundfile.SoundFile:
    """Open what has frames, as many as the header says."""
    try:
        file = soundfile.SoundFile(source)
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: the suffix .raw
        reason = getattr(error, "error_string", "a file without a header").strip()
        raise AudioError(
            f"{path}: not audio that soundfile can read ({reason}); expected wav, flac, ogg or mp3: convert it, "
            "or copy it again"
        ) from error
    problem = ""
    if file.samplerate not in RATES:
        problem = f"its header says {file.samplerate} Hz, expected {RATES.start} to {RATES.stop - 1}; write it again"
    elif file.frames == 0:
        problem = "holds no samples; copy it again, or leave it out"
    elif file.frames >= 2**62:  # libsndfile's "unknown"; it cannot read such a file reliably
        problem = (
            "its header does not say how long it is (was it written to a pipe?); convert it, for example with "
            "`ffmpeg -i OLD NEW.wav`"
        )
    if problem:
        file.close()
        raise AudioError(f"{path}: {problem}")
    return file


def _checked_riff(path: str | os.PathLike[str], raw: BinaryIO) -> BinaryIO:
    """Check the sizes in a RIFF header and return what is to be decoded, at its beginning.

    That is ``raw``, or the bytes with the size filled in for a wav that was written to a pipe with a data size of 0, in
    which libsndfile sees no samples.
    """
    total = raw.seek(0, os.SEEK_END)
    raw.seek(0)
    if total == 0:
        raise AudioError(f"{path}: the file is empty (0 bytes); copy it again, or leave it out")
    head = raw.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        raw.seek(0)
        return raw
    while len(header := raw.read(8)) == 8:
        name, size = struct.unpack("<4sI", header)
        begin = raw.tell()
        if name != b"data":
            raw.seek(begin + size + size % 2)  # chunks are padded to an even size
            continue
        rest = total - begin
        if size == 0 and rest and struct.unpack("<I", head[4:8])[0] != total - 8:
            raw.seek(0)
            content = bytearray(raw.read())
            content[begin - 4 : begin] = struct.pack("<I", rest)
            return io.BytesIO(content)
        if size > rest and size != _UNKNOWN and size not in _SOX_UNKNOWN:
            raise AudioError(
                f"{path}: truncated: its header promises {size} bytes of audio, it holds {rest}; copy it again"
            )
        raw.seek(0)
        return raw
    raise AudioError(f"{path}: truncated: a wav header without audio; copy it again")
