"""Count the steps that are skipped for non-finite gradients, on the device, so that a step never waits for it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class SkipCounts(NamedTuple):
    """Numbers of skipped steps."""

    total: int
    in_a_row: int
    """Up to now."""
    longest_row: int


class SkippedSteps:
    """Counts skipped steps on the device that the gradients are on."""

    def __init__(self, device: torch.device):
        self.counts = torch.zeros(3, dtype=torch.int64, device=device)  # as in SkipCounts

    def add(self, is_finite: Tensor) -> None:
        """Count a step; ``is_finite``: a boolean scalar on the device, False for a skipped step."""
        skipped = (~is_finite).long()
        total, in_a_row, longest_row = self.counts.unbind()
        in_a_row = (in_a_row + skipped) * skipped
        self.counts = torch.stack((total + skipped, in_a_row, torch.maximum(longest_row, in_a_row)))

    def read(self) -> SkipCounts:
        """Return the counts; waits for the device."""
        return SkipCounts(*self.counts.tolist())

    def restore(self, total: int, in_a_row: int) -> None:
        """Go on from saved counts."""
        self.counts = torch.tensor([total, in_a_row, in_a_row], device=self.counts.device)
