"""Log features of the centred short-time Fourier transform: s3prl's "mel" and "linear".

Frame k is centred at sample k * shift and the utterance is reflected at both ends, as ``torch.stft`` does by default:
n samples have 1 + n // shift frames. The FFT is as long as the window, which is a periodic Hann window. An utterance
of at most half a window cannot be reflected and has no frames.

s3prl's ``S3PRLUpstream`` drops the last frame of an utterance of a whole number of shifts; here it stays.
"""

from __future__ import annotations

from typing import Any

import torch
import torchaudio.functional
from torch import Tensor

from nn.mask import zero_padding
from nn.upstream.signal.base import SAMPLE_RATE, SignalUpstream, power_spectrum

LOG_FLOOR = 1e-10


class _Stft(SignalUpstream):
    """Centred windows -> power spectrum."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_bins = self.window_size // 2 + 1
        window = torch.hann_window(self.window_size, dtype=torch.float32)
        self.register_buffer("window", window, persistent=False)

    def windows(self, wav: Tensor, wav_len: Tensor) -> Tensor:
        half = self.window_size // 2
        wav = zero_padding(wav.unsqueeze(-1), wav_len).squeeze(-1)
        if wav.shape[1] < self.window_size:
            wav = torch.nn.functional.pad(wav, (0, self.window_size - wav.shape[1]))
        # each utterance is reflected at its own end, which padding to the batch's length cannot do
        source = torch.arange(-half, wav.shape[1] + half, device=wav.device).abs()
        last = wav_len.unsqueeze(1) - 1
        source = torch.where(source > last, 2 * last - source, source).clamp(0, wav.shape[1] - 1)
        return wav.gather(1, source).unfold(1, self.window_size, self.shift)

    def output_lengths(self, wav_len: Tensor) -> list[Tensor]:
        half = self.window_size // 2
        frames = torch.div(wav_len + 2 * half - self.window_size, self.shift, rounding_mode="floor") + 1
        return [frames * (wav_len > half)]

    def power(self, windows: Tensor) -> Tensor:
        """(B, T', window) -> (B, T', window // 2 + 1)."""
        return power_spectrum(windows * self.window.to(windows.dtype), self.window_size)


class Mel(_Stft):
    """Log mel energies: log(mel filters of the power spectrum + 1e-10), HTK mel scale from 0 to 8000 Hz.

    Args:
        num_mel_bins: number of mel filters
    """

    def __init__(self, num_mel_bins: int = 80, **kwargs: Any) -> None:
        if num_mel_bins < 1:
            raise ValueError(f"num_mel_bins is {num_mel_bins}, expected at least 1")
        super().__init__(**kwargs)
        self.size = num_mel_bins
        banks = torchaudio.functional.melscale_fbanks(self.num_bins, 0.0, SAMPLE_RATE / 2, num_mel_bins, SAMPLE_RATE)
        self.register_buffer("banks", banks, persistent=False)

    def features(self, windows: Tensor) -> Tensor:
        return (self.power(windows) @ self.banks.to(windows.dtype) + LOG_FLOOR).log()


class Linear(_Stft):
    """Log power spectrum: log(power + 1e-10) in window // 2 + 1 linear frequency bins (201 at 25 ms)."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = self.num_bins

    def features(self, windows: Tensor) -> Tensor:
        return (self.power(windows) + LOG_FLOOR).log()
