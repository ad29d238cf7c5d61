"""Reverberation by recorded impulse responses."""

from __future__ import annotations

import torch

from dataset.augmentations.recordings import Recordings


class Reverb:
    """Convolve with a random impulse response; the direct path keeps its time, and the utterance its length and power.

    Args:
        source: a folder of impulse responses, or a CSV with the column wav_path
    """

    def __init__(self, source: str | None = None):
        self.recordings = Recordings(source)

    def __call__(self, wav: torch.Tensor) -> torch.Tensor:
        """(T,) -> (T,)."""
        return in_room(wav, self.recordings.draw())


def in_room(wav: torch.Tensor, response: torch.Tensor) -> torch.Tensor:
    """A waveform as heard in the room of an impulse response: (T,), (R,) -> (T,)."""
    if len(wav) == 0 or not response.any():
        return wav
    direct = int(response.abs().argmax())
    size = len(wav) + len(response) - 1
    spectrum = torch.fft.rfft(wav.double(), size) * torch.fft.rfft(response.double(), size)
    wet = torch.fft.irfft(spectrum, size)[direct : direct + len(wav)]
    power = wet.square().mean()
    return wav if power == 0 else (wet * (wav.double().square().mean() / power).sqrt()).float()
