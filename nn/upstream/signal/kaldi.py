"""Kaldi's log mel filter banks, MFCC and log spectrogram, batched.

Equal to ``fbank``, ``mfcc`` and ``spectrogram`` of ``torchaudio.compliance.kaldi`` without dither on each utterance
alone: the steps are done in the same order, so that rounding agrees too. The waveform is taken in [-1, 1] as those
functions take it; Kaldi's own tools scale by 2**15, an offset of 20.79 in the log energies that normalisation removes.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torchaudio.functional
from torch import Tensor
from torch.nn.functional import pad
from torchaudio.compliance.kaldi import get_mel_banks

from nn.upstream.signal.base import SAMPLE_RATE, SignalUpstream, power_spectrum

LOWEST_FREQUENCY = 20.0
PREEMPHASIS = 0.97
LIFTER = 22.0
EPSILON = torch.finfo(torch.float32).eps  # the floor under energies before their logarithm


class _Kaldi(SignalUpstream):
    """Windows -> power spectrum by Kaldi's steps: pre-emphasis, Povey window, an FFT of a power of two."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n_fft = 1 << (self.window_size - 1).bit_length()
        window = torch.hann_window(self.window_size, periodic=False, dtype=torch.float32).pow(0.85)
        self.register_buffer("window", window, persistent=False)

    def power(self, windows: Tensor) -> Tensor:
        """(B, T', window) of mean zero -> (B, T', n_fft // 2 + 1)."""
        # the window is zero at the frame's first sample, so its pre-emphasis is not needed
        window = self.window[1:].to(windows.dtype)
        windows = (windows[..., 1:] - PREEMPHASIS * windows[..., :-1]) * window
        return power_spectrum(pad(windows, (1, self.n_fft - self.window_size)), self.n_fft)


class _LogMel(_Kaldi):
    """Windows -> log mel energies."""

    def __init__(self, num_mel_bins: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if num_mel_bins < 4:
            raise ValueError(f"num_mel_bins is {num_mel_bins}, expected at least 4")
        banks, _ = get_mel_banks(num_mel_bins, self.n_fft, SAMPLE_RATE, LOWEST_FREQUENCY, 0.0, 100.0, -500.0, 1.0)
        self.register_buffer("banks", pad(banks, (0, 1)).t().contiguous(), persistent=False)

    def log_mel(self, windows: Tensor) -> Tensor:
        """(B, T', window) -> (B, T', num_mel_bins)."""
        windows = windows - windows.mean(dim=-1, keepdim=True)
        mel = self.power(windows) @ self.banks.to(windows.dtype)
        return mel.clamp_min(EPSILON).log()


class Fbank(_LogMel):
    """Kaldi's log mel filter bank energies; with ``deltas=2`` s3prl's "fbank".

    Args:
        num_mel_bins: number of mel filters
    """

    def __init__(self, num_mel_bins: int = 80, **kwargs: Any) -> None:
        super().__init__(num_mel_bins, **kwargs)
        self.size = num_mel_bins

    def features(self, windows: Tensor) -> Tensor:
        return self.log_mel(windows)


class MFCC(_LogMel):
    """Kaldi's mel-frequency cepstral coefficients, lifter 22; with ``deltas=2`` s3prl's "mfcc".

    Args:
        num_ceps: number of coefficients, C0 included
        num_mel_bins: number of mel filters
    """

    def __init__(self, num_ceps: int = 13, num_mel_bins: int = 23, **kwargs: Any) -> None:
        if not 1 <= num_ceps <= num_mel_bins:
            raise ValueError(f"num_ceps is {num_ceps}, expected from 1 to num_mel_bins ({num_mel_bins})")
        super().__init__(num_mel_bins, **kwargs)
        self.size = num_ceps
        dct = torchaudio.functional.create_dct(num_mel_bins, num_mel_bins, "ortho")
        dct[:, 0] = math.sqrt(1 / num_mel_bins)  # Kaldi's C0 is the plain weighted sum
        lifter = 1.0 + 0.5 * LIFTER * torch.sin(math.pi * torch.arange(num_ceps) / LIFTER)
        self.register_buffer("dct", dct[:, :num_ceps] * lifter, persistent=False)

    def features(self, windows: Tensor) -> Tensor:
        log_mel = self.log_mel(windows)
        return log_mel @ self.dct.to(log_mel.dtype)


class Spectrogram(_Kaldi):
    """Kaldi's log power spectrum, s3prl's "spectrogram": 257 features at 25 ms.

    As in Kaldi, bin 0 is replaced by the log energy of the frame before pre-emphasis and window, at least 0.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = self.n_fft // 2 + 1

    def features(self, windows: Tensor) -> Tensor:
        windows = windows - windows.mean(dim=-1, keepdim=True)
        energy = windows.square().sum(dim=-1, keepdim=True).clamp_min(EPSILON).log().clamp_min(0.0)
        return torch.cat([energy, self.power(windows)[..., 1:].clamp_min(EPSILON).log()], dim=-1)
