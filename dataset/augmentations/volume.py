"""Random levels."""

from __future__ import annotations

import torch


class Volume:
    """Multiply by a random gain.

    Args:
        gain_db: least and greatest gain in dB, drawn uniformly
    """

    def __init__(self, gain_db: list[float] = [-20.0, 0.0]):  # noqa: B006 (a literal, for --help)
        if len(gain_db) != 2 or gain_db[0] > gain_db[1]:
            raise ValueError(f"gain_db is {gain_db}; expected [least, greatest] in dB")
        self.gain_db = tuple(gain_db)

    def __call__(self, wav: torch.Tensor) -> torch.Tensor:
        """(T,) -> (T,)."""
        least, greatest = self.gain_db
        return wav * 10 ** ((least + (greatest - least) * float(torch.rand(()))) / 20)
