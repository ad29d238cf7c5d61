"""Batch normalisation over the true frames of a padded batch."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from nn.mask import frame_mask


class VectorNorm(nn.BatchNorm1d):
    """Batch norm of vectors (N, C) that accepts a single vector in training.

    One vector has no variance and is normalised by the running statistics, so that the last batch of an epoch may hold
    one utterance.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C) -> (N, C)."""
        if self.training and len(x) < 2:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(x)


class FrameNorm(nn.Module):
    """Batch norm of frames with the statistics of the true frames; the others come out as zeros.

    Args:
        channels: C
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = VectorNorm(channels)

    def forward(self, x: Tensor, x_len: Tensor) -> Tensor:
        """x (B, T, C), x_len (B,) -> (B, T, C)."""
        mask = frame_mask(x_len, x.shape[1])
        if not self.training:
            return self.norm(x.flatten(0, 1)).view_as(x).masked_fill(~mask.unsqueeze(-1), 0.0)
        frames = mask.flatten().nonzero().squeeze(1)
        normed = self.norm(x.flatten(0, 1).index_select(0, frames))
        return x.new_zeros(x.shape).flatten(0, 1).index_copy(0, frames, normed.to(x.dtype)).view_as(x)
