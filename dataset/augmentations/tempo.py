"""Tempo: faster or slower speech at the same pitch."""

from __future__ import annotations

import torch

from dataset.augmentations.levels import drawn_between, range_of
from dataset.augmentations.timing import Timing, length_of

WINDOW, HOP = 512, 128  # samples at 16 kHz


class Tempo:
    """Change the tempo by a random factor and keep the pitch, by a phase vocoder (torchaudio's).

    Args:
        factors: least and greatest factor, drawn uniformly; 1.1 is faster
    """

    def __init__(self, factors: list[float] = [0.9, 1.1]):  # noqa: B006 (a literal, for --help)
        self.factors = range_of(factors, "factors", "times the tempo")
        if not 0.5 <= self.factors[0] <= self.factors[1] <= 2:
            raise ValueError(f"factors are {factors}; expected numbers between 0.5 and 2")

    def __call__(self, wav: torch.Tensor) -> torch.Tensor:
        """(T,) -> (round(T / factor),)."""
        return self.timed(wav)[0]

    def timed(self, wav: torch.Tensor) -> tuple[torch.Tensor, list[Timing]]:
        """(T,) -> (round(T / factor),), and what that did to time."""
        from torchaudio.functional import phase_vocoder

        factor = drawn_between(self.factors)
        length = round(len(wav) / factor)
        if len(wav) < WINDOW or length == len(wav):
            return wav, []
        window = torch.hann_window(WINDOW)
        spectrum = torch.stft(wav, WINDOW, HOP, window=window, return_complex=True)
        advance = torch.linspace(0, torch.pi * HOP, WINDOW // 2 + 1)[:, None]
        stretched = phase_vocoder(spectrum, factor, advance)
        result = torch.istft(stretched, WINDOW, HOP, window=window, length=length)
        return result, [Timing(1 / factor, 0.0, length_of(result))]
