"""Multi-head attention and positions (Vaswani et al., "Attention is all you need", NeurIPS 2017)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Attention of several heads, in two parts, so that keys and values of what was seen before can be kept.

    Args:
        size: D, features of each position
        heads: number of heads; it divides D
        dropout: dropout of the attention weights
    """

    def __init__(self, size: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if heads < 1 or size % heads:
            raise ValueError(f"heads is {heads} and size {size}: expected a number of heads that divides the size")
        self.heads = heads
        self.dropout = dropout
        self.query, self.key, self.value, self.output = (nn.Linear(size, size) for _ in range(4))
        for linear in (self.query, self.key, self.value):
            nn.init.xavier_uniform_(linear.weight)

    def keys_and_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, S, D) -> keys and values (B, heads, S, D / heads)."""
        return self._split(self.key(x)), self._split(self.value(x))

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (B, N, D) that asks for keys and values (B, heads, S, D / heads) -> (B, N, D).

        mask: bool, of a shape that expands to (B, heads, N, S); true for what may be seen. Each row sees something.
        """
        dropout = self.dropout if self.training else 0.0
        seen = F.scaled_dot_product_attention(self._split(self.query(x)), keys, values, mask, dropout_p=dropout)
        return self.output(seen.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def chunk_mask(frames: int, chunk: int, left_chunks: int | None, device: torch.device) -> Tensor:
    """The frames that each frame may see, bool (frames, frames): those of its own chunk and of some before.

    Args:
        chunk: frames of a chunk.
        left_chunks: the number of chunks before its own; None: all.
    """
    number = torch.arange(frames, device=device) // chunk
    behind = number[:, None] - number
    seen = behind >= 0
    return seen if left_chunks is None else seen & (behind <= left_chunks)


def positions(first: int, count: int, like: Tensor) -> Tensor:
    """Sinusoids of successive positions (count, D), with the D, the device and the type of ``like`` (..., D)."""
    size = like.shape[-1]
    place = torch.arange(first, first + count, device=like.device, dtype=torch.float32)
    rate = torch.exp(torch.arange(0, size, 2, device=like.device, dtype=torch.float32) * (-math.log(10000.0) / size))
    angle = place[:, None] * rate
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)[:, :size].to(like.dtype)
