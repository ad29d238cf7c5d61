"""Frames that wait for others, of a recording that arrives in chunks."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad


def whole_groups(x: Tensor, waiting: Tensor | None, size: int) -> tuple[Tensor, Tensor]:
    """The frames of whole groups of ``size``, and those that wait for others: (1, T', H) each.

    Args:
        x: (1, T, H).
        waiting: those that have waited; None: none.
    """
    x = x if waiting is None else torch.cat([waiting, x], dim=1)
    whole = x.shape[1] // size * size
    return x[:, :whole], x[:, whole:]


class Stacking:
    """Each ``size`` successive frames joined into one; the last group is filled with zeros, as by ``stack_frames``."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.waiting: Tensor | None = None

    def __call__(self, x: Tensor, is_last: bool) -> Tensor:
        """(1, T, H) -> (1, T', size * H)."""
        x, self.waiting = whole_groups(x, self.waiting, self.size)
        if is_last and self.waiting.shape[1]:
            x = torch.cat([x, pad(self.waiting, (0, 0, 0, self.size - self.waiting.shape[1]))], dim=1)
        return x.reshape(1, x.shape[1] // self.size, self.size * x.shape[2])
