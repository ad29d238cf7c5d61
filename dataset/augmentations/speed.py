"""Speed perturbation."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import torch

from dataset.augmentations.choice import Choice
from dataset.augmentations.timing import Timing, length_of


class SpeedPerturb(Choice):
    """Change the speed, and so tempo and pitch, by a random factor (Ko et al., Interspeech 2015).

    Args:
        speeds: factors to draw from; 0.9 is slower and lower, 1.1 faster and higher, 1.0 keeps the samples as they are.
    """

    def __init__(self, speeds: Sequence[float]):
        if not speeds or any(not 0.5 <= speed <= 2 for speed in speeds):
            raise ValueError(f"speeds are {list(speeds)}; expected at least one, each between 0.5 and 2")
        self.values = list(speeds)

    def apply(self, wav: torch.Tensor, number: int) -> torch.Tensor:
        """(T,) -> (ceil(T / speed),)."""
        from torchaudio.functional import resample

        speed = self.values[number]
        if speed == 1 or len(wav) == 0:
            return wav
        ratio = self._ratio(speed)
        return resample(wav, ratio.numerator, ratio.denominator)

    def timed(self, wav: torch.Tensor) -> tuple[torch.Tensor, list[Timing]]:
        """(T,) -> (T',), and what that did to time."""
        number = self.draw()
        result = self.apply(wav, number)
        return result, [Timing(float(1 / self._ratio(self.values[number])), 0.0, length_of(result))]

    @staticmethod
    def _ratio(speed: float) -> Fraction:
        return Fraction(speed).limit_denominator(100)  # a small fraction keeps the filter small
