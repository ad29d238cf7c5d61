"""Dropped pieces, as of a bad line."""

from __future__ import annotations

import torch

from dataset import SAMPLE_RATE
from dataset.augmentations.levels import drawn_between, range_of


class DropChunks:
    """Silence random pieces of the utterance.

    Args:
        count: least and greatest number of pieces, drawn uniformly
        seconds: least and greatest length of each, drawn uniformly
        most: part of the utterance that may be silenced in all
    """

    def __init__(
        self,
        count: list[int] = [1, 3],  # noqa: B006 (a literal, for --help)
        seconds: list[float] = [0.02, 0.1],  # noqa: B006
        most: float = 0.3,
    ):
        if len(count) != 2 or not 0 <= count[0] <= count[1]:
            raise ValueError(f"count is {count}; expected [least, greatest] from 0")
        if not 0 < most <= 1:
            raise ValueError(f"most is {most}; expected a part above 0, up to 1")
        self.count, self.seconds, self.most = tuple(count), range_of(seconds, "seconds", "seconds"), most

    def __call__(self, wav: torch.Tensor) -> torch.Tensor:
        """(T,) -> (T,)."""
        wav, left = wav.clone(), int(len(wav) * self.most)
        for _ in range(int(torch.randint(self.count[0], self.count[1] + 1, ()))):
            size = min(left, round(drawn_between(self.seconds) * SAMPLE_RATE))
            start = int(torch.randint(len(wav) - size + 1, ()))
            wav[start : start + size] = 0
            left -= size
        return wav
