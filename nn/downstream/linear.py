"""Linear heads: SUPERB's probes, and an adapter of embeddings."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nn.pooling import MeanPooling


class FrameLinear(nn.Module):
    """linear -> linear on each frame (s3prl's FrameLevelLinear).

    Args:
        input_size: features per frame
        output_size: number of classes
        hidden_size: size between the two layers
    """

    downsample_rate = 1
    framewise = True

    def __init__(self, input_size: int, output_size: int, hidden_size: int = 256) -> None:
        super().__init__()
        self.input_linear = nn.Linear(input_size, hidden_size)
        self.output_linear = nn.Linear(hidden_size, output_size)

    def forward(self, x: Tensor, x_len: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, T, input_size) -> (B, T, output_size); lengths (B,) pass through."""
        return self.output_linear(self.input_linear(x)), x_len


class MeanPoolLinear(nn.Module):
    """linear -> mean over the true frames -> linear (s3prl's MeanPoolingLinear).

    Args:
        input_size: features per frame
        output_size: number of classes
        hidden_size: size between the two layers
    """

    commutes_with_mean = True

    def __init__(self, input_size: int, output_size: int, hidden_size: int = 256) -> None:
        super().__init__()
        self.input_linear = nn.Linear(input_size, hidden_size)
        self.pooling = MeanPooling()
        self.output_linear = nn.Linear(hidden_size, output_size)

    def forward(self, x: Tensor, x_len: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, T, input_size), x_len (B,) -> (B, output_size) and lengths of one (B,)."""
        y = self.output_linear(self.pooling(self.input_linear(x), x_len))
        return y, torch.ones_like(x_len)


class MeanPoolAdapter(nn.Module):
    """mean over the true frames -> square linear layer that starts as the identity.

    Before any training the embeddings are those of the upstream, whose frames are embeddings themselves.

    Args:
        input_size: features per frame
        output_size: not used: an embedding has the size of a frame
    """

    commutes_with_mean = True

    def __init__(self, input_size: int, output_size: int) -> None:
        super().__init__()
        self.output_size = input_size
        self.pooling = MeanPooling()
        self.linear = nn.Linear(input_size, input_size, bias=False)
        nn.init.eye_(self.linear.weight)

    def forward(self, x: Tensor, x_len: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, T, input_size), x_len (B,) -> (B, input_size) and lengths of one (B,)."""
        return self.linear(self.pooling(x, x_len)), torch.ones_like(x_len)
