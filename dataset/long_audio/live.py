"""Audio that comes through a pipe while it is recorded, in chunks."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import soundfile

from dataset.audio import mono_of
from dataset.places.audio_error import AudioError
from dataset.places.audio_file import RATES

AHEAD = 64
"""The most chunks that wait for their turn; after that the pipe fills, and its writer waits."""


class Chunk(NamedTuple):
    """Samples, float32 (T,), at ``rate`` Hz."""

    rate: int
    samples: np.ndarray


def chunks_of_pipe(descriptor: int, name: str, seconds: float, raw_rate: int | None = None) -> Iterator[Chunk]:
    """The chunks of a recording as they come, averaged over its channels.

    The recording ends where the pipe ends: the length in its header is not compared, as a recorder writes that before
    it knows.

    Args:
        descriptor: of a file that is open for reading; it need not seek.
        name: of the recording, for messages.
        seconds: the length of a chunk but the last.
        raw_rate: without a header: the rate in Hz of 16-bit little-endian samples of one channel.

    Raises:
        AudioError: it is not audio that can be read from a pipe, or holds no samples, or a NaN or infinite one.
    """
    waiting: queue.Queue[Chunk | Exception | None] = queue.Queue(AHEAD)

    def read() -> None:
        try:
            for chunk in _chunks(descriptor, name, seconds, raw_rate):
                waiting.put(chunk)
            waiting.put(None)
        except Exception as error:
            waiting.put(error)

    # in a thread, as a signal does not end a read inside libsndfile
    threading.Thread(target=read, daemon=True).start()
    while (own := waiting.get()) is not None:
        if isinstance(own, Exception):
            raise own
        yield own


def _chunks(descriptor: int, name: str, seconds: float, raw_rate: int | None) -> Iterator[Chunk]:
    with _opened(descriptor, name, raw_rate) as file:
        if file.samplerate not in RATES:
            raise AudioError(
                f"{name}: its header says {file.samplerate} Hz, expected {RATES.start} to {RATES.stop - 1}"
            )
        size, frames = max(1, round(seconds * file.samplerate)), 0
        while len(samples := _read(file, size, name)):
            if not np.isfinite(samples).all():
                raise AudioError(f"{name}: a NaN or infinite sample after {frames / file.samplerate:.3f} s")
            frames += len(samples)
            yield Chunk(file.samplerate, mono_of(samples))
        if not frames:
            raise AudioError(
                f"{name}: holds no samples, or its header says so; if it is written while it is recorded, write samples"
                " without a header, and say --raw RATE"
            )


def _opened(descriptor: int, name: str, raw_rate: int | None) -> soundfile.SoundFile:
    raw = {"samplerate": raw_rate, "channels": 1, "format": "RAW", "subtype": "PCM_16", "endian": "LITTLE"}
    try:
        return soundfile.SoundFile(descriptor, closefd=False, **(raw if raw_rate else {}))
    except soundfile.LibsndfileError as error:
        raise AudioError(
            f"{name}: not audio that soundfile can read from a pipe ({error.error_string.strip()}); expected wav, or"
            " 16-bit samples of one channel without a header and --raw RATE"
        ) from error


def _read(file: soundfile.SoundFile, frames: int, name: str) -> np.ndarray:
    """The next frames, (T, channels)."""
    try:
        return file.read(frames, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise AudioError(
            f"{name}: cannot be read from a pipe ({error.error_string.strip()}); expected wav, or 16-bit samples of one"
            " channel without a header and --raw RATE"
        ) from error
