"""Features of the plain short-time Fourier transform: Hann window, no pre-emphasis, no centring.

Frame k covers samples [k * shift, k * shift + window), as ``torch.stft(..., center=False)`` has it, so that
no frame reaches past the utterance. The FFT is as long as the window.
"""

from __future__ import annotations

import torch
import torchaudio.functional
from torch import Tensor

from nn.upstream.signal.base import SAMPLE_RATE, SignalUpstream, power_spectrum

LOG_FLOOR = 1e-10


class _Stft(SignalUpstream):
    """Frames -> power spectrum with a periodic Hann window."""

    def __init__(self, size: int | None, frame_length: float, frame_shift: float, deltas: int, cmvn: str) -> None:
        num_bins = int(SAMPLE_RATE * frame_length * 0.001) // 2 + 1
        super().__init__(size or num_bins, frame_length, frame_shift, deltas, cmvn)
        self.num_bins = num_bins
        window = torch.hann_window(self.window_size, dtype=torch.float32)
        self.register_buffer("window", window, persistent=False)

    def power(self, frames: Tensor) -> Tensor:
        """(B, T', window) -> (B, T', window // 2 + 1)."""
        return power_spectrum(frames * self.window.to(frames.dtype), self.window_size)


class Mel(_Stft):
    """Log mel energies: log(mel filters of the power spectrum + 1e-10), HTK mel scale from 0 to 8000 Hz.

    Args:
        num_mel_bins: number of mel filters
        frame_length: window length in milliseconds
        frame_shift: step between windows in milliseconds
        deltas: orders of time derivatives appended (0, 1 or 2)
        cmvn: normalisation over each utterance's frames: "none", "mean", or "utterance" (mean and variance)
    """

    def __init__(
        self,
        num_mel_bins: int = 80,
        frame_length: float = 25.0,
        frame_shift: float = 10.0,
        deltas: int = 0,
        cmvn: str = "utterance",
    ) -> None:
        if num_mel_bins < 1:
            raise ValueError(f"num_mel_bins is {num_mel_bins}, expected at least 1")
        super().__init__(num_mel_bins, frame_length, frame_shift, deltas, cmvn)
        banks = torchaudio.functional.melscale_fbanks(self.num_bins, 0.0, SAMPLE_RATE / 2, num_mel_bins, SAMPLE_RATE)
        self.register_buffer("banks", banks, persistent=False)

    def features(self, frames: Tensor) -> Tensor:
        return (self.power(frames) @ self.banks.to(frames.dtype) + LOG_FLOOR).log()


class Linear(_Stft):
    """Log power spectrum: log(power + 1e-10) in window // 2 + 1 linear frequency bins (201 at 25 ms).

    Args:
        frame_length: window length in milliseconds
        frame_shift: step between windows in milliseconds
        deltas: orders of time derivatives appended (0, 1 or 2)
        cmvn: normalisation over each utterance's frames: "none", "mean", or "utterance" (mean and variance)
    """

    def __init__(
        self,
        frame_length: float = 25.0,
        frame_shift: float = 10.0,
        deltas: int = 0,
        cmvn: str = "utterance",
    ) -> None:
        super().__init__(None, frame_length, frame_shift, deltas, cmvn)

    def features(self, frames: Tensor) -> Tensor:
        return (self.power(frames) + LOG_FLOOR).log()


class Spectrogram(_Stft):
    """Power spectrum without a logarithm, in window // 2 + 1 linear frequency bins (201 at 25 ms).

    Args:
        frame_length: window length in milliseconds
        frame_shift: step between windows in milliseconds
        deltas: orders of time derivatives appended (0, 1 or 2)
        cmvn: normalisation over each utterance's frames: "none", "mean", or "utterance" (mean and variance)
    """

    def __init__(
        self,
        frame_length: float = 25.0,
        frame_shift: float = 10.0,
        deltas: int = 0,
        cmvn: str = "utterance",
    ) -> None:
        super().__init__(None, frame_length, frame_shift, deltas, cmvn)

    def features(self, frames: Tensor) -> Tensor:
        return self.power(frames)
