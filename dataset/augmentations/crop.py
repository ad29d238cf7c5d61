"""Random pieces of utterances."""

from __future__ import annotations

import torch

from dataset import SAMPLE_RATE
from dataset.augmentations.timing import Timing, length_of


class RandomCrop:
    """Crop a random piece of an utterance; one that is not longer than the piece is kept whole.

    Args:
        seconds: length of the piece.
    """

    def __init__(self, seconds: float):
        self.samples = round(seconds * SAMPLE_RATE)
        if self.samples < 1:
            raise ValueError(f"a crop of {seconds} s has no sample; expected at least {1 / SAMPLE_RATE:g} s")

    def __call__(self, wav: torch.Tensor) -> torch.Tensor:
        """(T,) -> (min(T, samples),)."""
        return self.timed(wav)[0]

    def timed(self, wav: torch.Tensor) -> tuple[torch.Tensor, list[Timing]]:
        """(T,) -> (min(T, samples),), and what that did to time."""
        if len(wav) <= self.samples:
            return wav, []
        start = int(torch.randint(len(wav) - self.samples + 1, ()))
        result = wav[start : start + self.samples]
        return result, [Timing(1.0, -start / SAMPLE_RATE, length_of(result))]
