"""Masks of the true frames in a padded batch."""

from __future__ import annotations

import torch
from torch import Tensor


def frame_mask(lengths: Tensor, num_frames: int) -> Tensor:
    """True for the frames inside each item's length: (B,) int64 -> (B, num_frames) bool."""
    return torch.arange(num_frames, device=lengths.device) < lengths.unsqueeze(1)


def zero_padding(x: Tensor, lengths: Tensor) -> Tensor:
    """A copy of x (B, T, H) with zeros in place of the frames past each length, which may hold anything (NaN too)."""
    return x.masked_fill(~frame_mask(lengths, x.shape[1]).unsqueeze(-1), 0.0)
