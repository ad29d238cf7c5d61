"""Audio files of any length, block by block, so that memory does not grow with their length."""

from __future__ import annotations

import math
from collections.abc import Iterator

import soundfile
import torch

from dataset import SAMPLE_RATE
from dataset.audio import Source, decode_frames, mono_of, name_of, open_audio, resampler

MOST_SAMPLES = 2**24
"""The most samples of a block, of all channels and at the file's rate."""


def blocks(path: Source, seconds: float = 30.0) -> Iterator[torch.Tensor]:
    """Read a file of any length in blocks of about ``seconds``, so that only a few of them are in memory.

    Yields:
        float32 (T,) at 16 kHz; their concatenation is :func:`read` of the file, up to the rounding of resampling.

    Raises:
        AudioError: as for :func:`read`.
    """
    with open_audio(path) as file:
        seconds = min(seconds, MOST_SAMPLES / (file.samplerate * file.channels))
        pieces = (
            _frames(file, name_of(path), start, min(start + int(seconds * file.samplerate), file.frames))
            for start in range(0, file.frames, int(seconds * file.samplerate))
        )
        yield from pieces if file.samplerate == SAMPLE_RATE else _resampled(pieces, file.samplerate)


def _frames(file: soundfile.SoundFile, name: str, start: int, stop: int) -> torch.Tensor:
    """The frames ``start`` to ``stop``, averaged over channels, of a file that stands at ``start``."""
    return torch.from_numpy(mono_of(decode_frames(file, name, start, start, stop)))


def _resampled(pieces: Iterator[torch.Tensor], rate: int) -> Iterator[torch.Tensor]:
    """Resample a stream of pieces of (T,), each with the samples around it that the filter needs."""
    resample = resampler(rate)
    step, new = resample.orig_freq // resample.gcd, resample.new_freq // resample.gcd
    margin = step * math.ceil((resample.width + step) / step)
    rest, behind = next(pieces), 0  # samples that are not resampled yet, after those that only precede them
    for piece in pieces:
        rest = torch.cat([rest, piece])
        ready = (len(rest) - behind - margin) // step * step
        if ready > margin:
            yield resample(rest[: behind + ready + margin])[behind * new // step : (behind + ready) * new // step]
            rest, behind = rest[behind + ready - margin :], margin
    yield resample(rest)[behind * new // step :]
