"""Audio files: headers, durations, and samples at 16 kHz mono.

soundfile decodes (wav, flac, ogg, mp3, ...) and torchaudio resamples. One thing is written by hand: the walk
over the chunks of a RIFF header, because libsndfile silently adapts a header that promises more than the file
holds, and a wav that was cut in half would train unnoticed.

Every error names the file, says what is wrong with it and what to do.
"""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import math
import os
import sqlite3
import struct
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import soundfile
import torch

logger = logging.getLogger(__name__)

SAMPLE_RATE = 16000
END_TOLERANCE_SEC = 0.01  # metadata rounds times to 10 ms or finer

_UNKNOWN = 0xFFFFFFFF  # ffmpeg's data size when it writes to a pipe
_SOX_UNKNOWN = range(0x7FFFF000 - 64, 0x80000000)  # sox and eSpeak NG, less the remainder of a frame
# Frames decoded before a segment, as libsndfile seeks inexactly: Vorbis can miss by a block inside the last
# page (its issue 885; a page has at most 255 packets of 1024), and an MP3 frame uses bits of earlier ones.
_PREROLL = {"OGG": 255 * 1024, "MP3": 16 * 1152}
_CHUNK = 1000  # files handed to a thread, and variables in one query, at a time


class AudioError(ValueError):
    """A file that cannot be used as it is; the message names it."""


class AudioInfo(NamedTuple):
    """What the header says: ``frames`` samples in each of ``channels`` at ``sample_rate`` Hz."""

    seconds: float
    sample_rate: int
    channels: int
    frames: int


def info(path: str | os.PathLike[str]) -> AudioInfo:
    """Read the header, without decoding.

    Raises:
        AudioError: missing, not decodable, without samples, or (RIFF) shorter than its header promises.
    """
    with _open(path) as file:
        return AudioInfo(file.frames / file.samplerate, file.samplerate, file.channels, file.frames)


def read(path: str | os.PathLike[str], start_sec: float | None = None, end_sec: float | None = None) -> torch.Tensor:
    """Read a file, or the segment ``[start_sec, end_sec)`` of it by seeking.

    Channels are averaged. Only a segment's own frames are read (ogg and mp3: and some before it), and it is
    resampled by itself.

    Returns:
        float32 (T,) at 16 kHz, T > 0.

    Raises:
        AudioError: what :func:`info` raises; fewer samples than promised; NaN or infinite samples; a segment
            outside the file (an end up to 10 ms past the file's end is clipped).
    """
    with _open(path) as file:
        start, stop = _segment(path, file, start_sec, end_sec)
        name = f"{path}{_describe(start_sec, end_sec)}"
        try:
            begin = max(0, start - _PREROLL.get(file.format, 0))
            if begin:
                file.seek(begin)
            samples = file.read(stop - begin, dtype="float32", always_2d=True)[start - begin :]
        except soundfile.LibsndfileError as error:
            raise AudioError(
                f"{name}: cannot be decoded ({error.error_string.strip()}): damaged; copy it again"
            ) from error
        rate = file.samplerate
    if len(samples) != stop - start:
        raise AudioError(
            f"{name}: only {len(samples)} of {stop - start} samples could be decoded: "
            "cut short or damaged; copy it again (an MP3 whose header lacks its length: convert it to wav)"
        )
    if not np.isfinite(samples).all():
        frame = start + int(np.argmax(~np.isfinite(samples).all(axis=1)))
        raise AudioError(f"{name}: a NaN or infinite sample at {frame / rate:.3f} s; write the file again")
    mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)
    wav = torch.from_numpy(mono)
    return wav if rate == SAMPLE_RATE else _resampler(rate)(wav)


def durations(
    paths: Iterable[str | os.PathLike[str]], cache_dir: str | os.PathLike[str], num_workers: int = 8
) -> tuple[dict[str, float], dict[str, AudioError]]:
    """Seconds of many files, from their headers in ``num_workers`` threads.

    The answers are kept in ``cache_dir/durations.sqlite`` under absolute path, size and modification time;
    bad files are not kept, so that a repaired one is seen. A cache that cannot be used costs only time.

    Returns:
        ``{path: seconds}`` of the good files and ``{path: error}`` of all the bad ones; each path is in one.
    """
    names = list(dict.fromkeys(os.fspath(path) for path in paths))
    seconds: dict[str, float] = {}
    errors: dict[str, AudioError] = {}
    cache = _DurationCache(Path(cache_dir) / "durations.sqlite")
    with ThreadPoolExecutor(max(1, num_workers)) as pool:
        keys: dict[str, tuple[str, int, int]] = {}
        for found in pool.map(_keys, (names[i : i + _CHUNK] for i in range(0, len(names), _CHUNK))):
            keys.update(found)
        cached = cache.load([key[0] for key in keys.values()])
        seconds.update((name, cached[key]) for name, key in keys.items() if key in cached)
        missing = [name for name in names if name not in seconds]
        # saved every few thousand files, so that an interrupted first pass over a large corpus is not lost
        for i in range(0, len(missing), 10 * _CHUNK):
            part = missing[i : i + 10 * _CHUNK]
            answers = dict(zip(part, pool.map(_seconds_or_error, part)))
            errors.update((name, got) for name, got in answers.items() if isinstance(got, AudioError))
            good = {name: got for name, got in answers.items() if not isinstance(got, AudioError)}
            seconds.update(good)
            cache.save([(*keys[name], got) for name, got in good.items() if name in keys])
    return {name: seconds[name] for name in names if name in seconds}, errors


def _keys(names: list[str]) -> dict[str, tuple[str, int, int]]:
    """``{name: (absolute path, size, mtime_ns)}``; what cannot be seen is left to :func:`info` to explain."""
    found = {}
    for name in names:
        with contextlib.suppress(OSError):
            stat = os.stat(name)
            found[name] = (os.path.abspath(name), stat.st_size, stat.st_mtime_ns)
    return found


def _seconds_or_error(path: str) -> float | AudioError:
    try:
        return info(path).seconds
    except AudioError as error:
        return error


class _DurationCache:
    """One sqlite table; its transactions and busy timeout make it safe under several processes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self, paths: list[str]) -> dict[tuple[str, int, int], float]:
        def query(db: sqlite3.Connection) -> dict[tuple[str, int, int], float]:
            rows = {}
            for i in range(0, len(paths), _CHUNK // 2):  # old builds of sqlite allow 999 variables
                part = paths[i : i + _CHUNK // 2]
                marks = ",".join("?" * len(part))
                sql = f"SELECT path, size, mtime_ns, seconds FROM durations WHERE path IN ({marks})"
                rows.update((row[:3], row[3]) for row in db.execute(sql, part))
            return rows

        return self._run(query) or {}

    def save(self, rows: list[tuple[str, int, int, float]]) -> None:
        if rows:
            self._run(lambda db: db.executemany("INSERT OR REPLACE INTO durations VALUES (?,?,?,?)", rows))

    def _run(self, action: Callable[[sqlite3.Connection], object]) -> object:
        """Do ``action`` in one transaction; a damaged file is moved away and the action done on a new one."""
        for _ in range(2):
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with contextlib.closing(sqlite3.connect(self.path, timeout=60)) as db, db:
                    db.execute(
                        "CREATE TABLE IF NOT EXISTS durations "
                        "(path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, seconds REAL) WITHOUT ROWID"
                    )
                    return action(db)
            except (sqlite3.OperationalError, OSError) as error:  # locked, full disk, no permission
                logger.warning("%s cannot be used (%s); durations are read from the files", self.path, error)
                return None
            except sqlite3.DatabaseError as error:
                aside = self.path.with_name(f"{self.path.name}.corrupt")
                logger.warning("%s is damaged (%s); moved to %s", self.path, error, aside.name)
                with contextlib.suppress(FileNotFoundError):  # another process was faster
                    os.replace(self.path, aside)
                # a journal left behind would be rolled back into the new file
                self.path.with_name(f"{self.path.name}-journal").unlink(missing_ok=True)


@contextlib.contextmanager
def _open(path: str | os.PathLike[str]) -> Iterator[soundfile.SoundFile]:
    """Open for reading after all checks that the header allows."""
    try:
        with open(path, "rb") as raw:
            source = _checked_riff(path, raw)
    except FileNotFoundError:
        raise AudioError(f"{path}: no such file; check wav_path and where the corpus lies") from None
    except OSError as error:
        raise AudioError(f"{path}: cannot be opened ({error.strerror}); check path and rights") from error
    try:
        file = soundfile.SoundFile(source)
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: the suffix .raw
        reason = getattr(error, "error_string", "a file without a header").strip()
        raise AudioError(
            f"{path}: not audio that soundfile can read ({reason}); expected wav, flac, ogg or mp3: "
            "convert the file or copy it again"
        ) from error
    with file:
        if file.frames == 0:
            raise AudioError(f"{path}: holds no samples; remove it from the data or copy it again")
        if file.frames >= 2**62:  # libsndfile's "unknown": it cannot read such a file reliably
            raise AudioError(
                f"{path}: its header does not say how long it is (written to a pipe?); "
                "write it again to a file, for example with `ffmpeg -i OLD NEW.wav`"
            )
        yield file


def _checked_riff(path: str | os.PathLike[str], raw: BinaryIO) -> str | io.BytesIO:
    """Check sizes by hand; returns what soundfile is to open.

    That is the path itself, or, for a wav written to a pipe with a data size of 0, in which libsndfile sees
    no samples, the bytes with the size filled in.
    """
    total = os.fstat(raw.fileno()).st_size
    if total == 0:
        raise AudioError(f"{path}: the file is empty (0 bytes); remove it from the data or copy it again")
    head = raw.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return os.fspath(path)
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
                f"{path}: cut short: its header promises {size} bytes of audio, {rest} are there; copy it again"
            )
        return os.fspath(path)
    raise AudioError(f"{path}: a wav header without audio after it; the file is cut short: copy it again")


def _segment(
    path: str | os.PathLike[str], file: soundfile.SoundFile, start_sec: float | None, end_sec: float | None
) -> tuple[int, int]:
    """First frame and one past the last, at the file's own rate."""
    rate, seconds = file.samplerate, file.frames / file.samplerate
    begin, end = 0.0 if start_sec is None else start_sec, seconds if end_sec is None else end_sec
    name = f"{path}{_describe(start_sec, end_sec)}"
    if not (math.isfinite(begin) and math.isfinite(end) and begin >= 0):
        raise AudioError(f"{name}: the times of a segment are finite and not negative; correct the metadata")
    if begin >= seconds:
        raise AudioError(f"{name}: starts past the end of the file ({seconds:.3f} s); correct the metadata")
    if end > seconds + END_TOLERANCE_SEC:
        raise AudioError(f"{name}: ends past the end of the file ({seconds:.3f} s); correct the metadata")
    start, stop = round(begin * rate), min(round(end * rate), file.frames)
    if stop <= start:
        raise AudioError(f"{name}: holds no sample at {rate} Hz: the end must come after the start")
    return start, stop


def _describe(start_sec: float | None, end_sec: float | None) -> str:
    if start_sec is None and end_sec is None:
        return ""
    return f" (from {start_sec or 0:g} s to {'the end' if end_sec is None else f'{end_sec:g} s'})"


@functools.lru_cache(maxsize=16)
def _resampler(rate: int) -> torch.nn.Module:
    """The filter from ``rate`` to 16 kHz, computed once per process and rate.

    torchaudio's kernel grows with the product of both rates over their common factor (2.8 GB for 44099 Hz),
    so the ratio is rounded to a denominator of at most 2000: exact for usual rates, never 0.03 % off.
    """
    import torchaudio  # half a second that files at 16 kHz need not pay

    ratio = Fraction(SAMPLE_RATE, rate).limit_denominator(2000)
    return torchaudio.transforms.Resample(ratio.denominator, ratio.numerator)
