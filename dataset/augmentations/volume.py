"""Random levels."""

from __future__ import annotations

import torch

from dataset.augmentations.levels import drawn_between, range_of


class Volume:
    """Multiply by a random gain.

    Args:
        gain_db: least and greatest gain in dB, drawn uniformly
    """

    def __init__(self, gain_db: list[float] = [-20.0, 0.0]):  # noqa: B006 (a literal, for --help)
        self.gain_db = range_of(gain_db, "gain_db")

    def __call__(self, wav: torch.Tensor) -> torch.Tensor:
        """(T,) -> (T,)."""
        return wav * 10 ** (drawn_between(self.gain_db) / 20)
