"""Audio files of any length, block by block, so that memory does not grow with their length."""

from __future__ import annotations

import math
from collections.abc import Iterator

import soundfile
import torch

from dataset import SAMPLE_RATE
from dataset.audio import decode_frames, mono_of, resampler
from dataset.places.audio_file import Source, name_of, open_audio

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
    resampling = Resampling(rate)
    for piece in pieces:
        if len(resampled := resampling.add(piece)):
            yield resampled
    yield resampling.finish()


class Resampling:
    """A recording on its way to 16 kHz, piece by piece, each with the samples around it that the filter needs.

    Args:
        rate: of the pieces, Hz.
    """

    def __init__(self, rate: int) -> None:
        self.resample = resampler(rate)
        self.step = self.resample.orig_freq // self.resample.gcd
        self.new = self.resample.new_freq // self.resample.gcd
        self.margin = self.step * math.ceil((self.resample.width + self.step) / self.step)
        self.rest, self.behind = torch.zeros(0), 0
        """Samples that are not resampled yet, after those that only precede them."""

    def add(self, piece: torch.Tensor) -> torch.Tensor:
        """The samples (T',) that a piece (T,) completes; T' may be 0."""
        self.rest = torch.cat([self.rest, piece])
        behind, margin = self.behind, self.margin
        ready = (len(self.rest) - behind - margin) // self.step * self.step
        if ready <= margin:
            return torch.zeros(0)
        resampled = self.resample(self.rest[: behind + ready + margin])
        self.rest, self.behind = self.rest[behind + ready - margin :], margin
        return resampled[behind * self.new // self.step : (behind + ready) * self.new // self.step]

    def finish(self) -> torch.Tensor:
        """The last samples (T',)."""
        rest, behind = self.rest, self.behind
        self.rest, self.behind = torch.zeros(0), 0
        return self.resample(rest)[behind * self.new // self.step :] if len(rest) else rest
