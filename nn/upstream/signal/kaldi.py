"""Kaldi's log mel filter banks and MFCC, batched.

Equal to ``torchaudio.compliance.kaldi.fbank`` and ``mfcc`` without dither on each utterance alone: the steps
are done in the same order, so that rounding agrees too. The waveform is taken in [-1, 1] as those functions
take it; Kaldi's own tools scale by 2**15, an offset of 20.79 in the log energies that normalisation removes.
"""

from __future__ import annotations

import math

import torch
import torchaudio.functional
from torch import Tensor
from torch.nn.functional import pad
from torchaudio.compliance.kaldi import get_mel_banks

from nn.upstream.signal.base import SAMPLE_RATE, SignalUpstream, power_spectrum

LOWEST_FREQUENCY = 20.0
PREEMPHASIS = 0.97
LIFTER = 22.0


class _LogMel(SignalUpstream):
    """Frames -> log mel energies, by Kaldi's steps: mean, pre-emphasis, Povey window, power, mel, log."""

    def __init__(
        self, size: int, num_mel_bins: int, frame_length: float, frame_shift: float, deltas: int, cmvn: str
    ) -> None:
        super().__init__(size, frame_length, frame_shift, deltas, cmvn)
        if num_mel_bins < 4:
            raise ValueError(f"num_mel_bins is {num_mel_bins}, expected at least 4")
        self.n_fft = 1 << (self.window_size - 1).bit_length()
        window = torch.hann_window(self.window_size, periodic=False, dtype=torch.float32).pow(0.85)
        self.register_buffer("window", window, persistent=False)
        banks, _ = get_mel_banks(num_mel_bins, self.n_fft, SAMPLE_RATE, LOWEST_FREQUENCY, 0.0, 100.0, -500.0, 1.0)
        self.register_buffer("banks", pad(banks, (0, 1)).t().contiguous(), persistent=False)

    def log_mel(self, frames: Tensor) -> Tensor:
        """(B, T', window) -> (B, T', num_mel_bins)."""
        frames = frames - frames.mean(dim=-1, keepdim=True)
        # the window is zero at the frame's first sample, whose pre-emphasis would need the one before it
        window = self.window[1:].to(frames.dtype)
        frames = (frames[..., 1:] - PREEMPHASIS * frames[..., :-1]) * window
        frames = pad(frames, (1, self.n_fft - self.window_size))
        mel = power_spectrum(frames, self.n_fft) @ self.banks.to(frames.dtype)
        return mel.clamp_min(torch.finfo(torch.float32).eps).log()


class Fbank(_LogMel):
    """Kaldi's log mel filter bank energies (``deltas=2`` with ``cmvn="utterance"`` is s3prl's "fbank").

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
        super().__init__(num_mel_bins, num_mel_bins, frame_length, frame_shift, deltas, cmvn)

    def features(self, frames: Tensor) -> Tensor:
        return self.log_mel(frames)


class MFCC(_LogMel):
    """Kaldi's mel-frequency cepstral coefficients, C0 included, with Kaldi's lifter of 22.

    Args:
        num_ceps: number of coefficients, C0 included
        num_mel_bins: number of mel filters
        frame_length: window length in milliseconds
        frame_shift: step between windows in milliseconds
        deltas: orders of time derivatives appended (0, 1 or 2)
        cmvn: normalisation over each utterance's frames: "none", "mean", or "utterance" (mean and variance)
    """

    def __init__(
        self,
        num_ceps: int = 13,
        num_mel_bins: int = 23,
        frame_length: float = 25.0,
        frame_shift: float = 10.0,
        deltas: int = 0,
        cmvn: str = "utterance",
    ) -> None:
        if not 1 <= num_ceps <= num_mel_bins:
            raise ValueError(f"num_ceps is {num_ceps}, expected from 1 to num_mel_bins ({num_mel_bins})")
        super().__init__(num_ceps, num_mel_bins, frame_length, frame_shift, deltas, cmvn)
        dct = torchaudio.functional.create_dct(num_mel_bins, num_mel_bins, "ortho")
        dct[:, 0] = math.sqrt(1 / num_mel_bins)  # Kaldi's C0 is the plain weighted sum
        lifter = 1.0 + 0.5 * LIFTER * torch.sin(math.pi * torch.arange(num_ceps) / LIFTER)
        self.register_buffer("dct", dct[:, :num_ceps] * lifter, persistent=False)

    def features(self, frames: Tensor) -> Tensor:
        log_mel = self.log_mel(frames)
        return log_mel @ self.dct.to(log_mel.dtype)
