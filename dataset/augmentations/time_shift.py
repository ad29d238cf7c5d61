"""Time shifts."""

from __future__ import annotations

import torch

from dataset import SAMPLE_RATE
from dataset.augmentations.levels import drawn_between, range_of
from dataset.augmentations.timing import Timing, length_of


class TimeShift:
    """Move the utterance inside its length, with silence where it was; what leaves it is lost.

    Args:
        seconds: least and greatest shift, drawn uniformly; negative ones are towards the beginning
    """

    def __init__(self, seconds: list[float] = [-0.1, 0.1]):  # noqa: B006 (a literal, for --help)
        self.seconds = range_of(seconds, "seconds", "seconds")

    def __call__(self, wav: torch.Tensor) -> torch.Tensor:
        """(T,) -> (T,)."""
        return self.timed(wav)[0]

    def timed(self, wav: torch.Tensor) -> tuple[torch.Tensor, list[Timing]]:
        """(T,) -> (T,), and what that did to time."""
        shift = max(-len(wav), min(len(wav), round(drawn_between(self.seconds) * SAMPLE_RATE)))
        kept = wav[: len(wav) - shift] if shift >= 0 else wav[-shift:]
        result = torch.nn.functional.pad(kept, (max(0, shift), max(0, -shift)))
        return result, [Timing(1.0, shift / SAMPLE_RATE, length_of(result))]
