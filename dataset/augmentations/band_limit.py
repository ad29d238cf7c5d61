"""Narrow bands, as of telephones."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from dataset import SAMPLE_RATE
from dataset.augmentations.choice import Choice


class BandLimit(Choice):
    """Remove all above a random frequency, as a lower sample rate does: 4000 Hz is the band of a telephone.

    Args:
        limits: frequencies in Hz to draw from; 8000 or more keeps the samples as they are.
    """

    def __init__(self, limits: Sequence[float]):
        if not limits or any(limit < 500 for limit in limits):
            raise ValueError(f"band_limits are {list(limits)}; expected at least one, each of 500 Hz or more")
        self.values = list(limits)

    def apply(self, wav: torch.Tensor, number: int) -> torch.Tensor:
        """(T,) -> (T,)."""
        from torchaudio.functional import resample

        rate = 100 * round(2 * self.values[number] / 100)  # round, so that the filter stays small
        if rate >= SAMPLE_RATE or len(wav) == 0:
            return wav
        return resample(resample(wav, SAMPLE_RATE, rate), rate, SAMPLE_RATE)[: len(wav)]
