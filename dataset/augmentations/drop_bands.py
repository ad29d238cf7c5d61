"""Dropped bands, as of a bad microphone or of a room's resonances."""

from __future__ import annotations

import torch

from dataset import SAMPLE_RATE
from dataset.augmentations.levels import drawn_between, range_of


class DropBands:
    """Remove random bands of frequencies.

    Args:
        count: least and greatest number of bands, drawn uniformly
        hertz: least and greatest width of each, drawn uniformly
    """

    def __init__(self, count: list[int] = [1, 3], hertz: list[float] = [50.0, 300.0]):  # noqa: B006 (for --help)
        if len(count) != 2 or not 0 <= count[0] <= count[1]:
            raise ValueError(f"count is {count}; expected [least, greatest] from 0")
        self.count, self.hertz = tuple(count), range_of(hertz, "hertz", "Hz")

    def __call__(self, wav: torch.Tensor) -> torch.Tensor:
        """(T,) -> (T,)."""
        bands = [
            (drawn_between(self.hertz), float(torch.rand(())))
            for _ in range(int(torch.randint(self.count[0], self.count[1] + 1, ())))
        ]
        if len(wav) == 0 or not bands:
            return wav
        spectrum = torch.fft.rfft(wav.double())
        frequencies = torch.linspace(0, SAMPLE_RATE / 2, len(spectrum))
        for width, place in bands:
            low = place * (SAMPLE_RATE / 2 - width)
            spectrum[(frequencies >= low) & (frequencies < low + width)] = 0
        return torch.fft.irfft(spectrum, len(wav)).to(wav.dtype)
