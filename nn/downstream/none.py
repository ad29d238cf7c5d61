"""No head."""

from __future__ import annotations

from torch import Tensor, nn


class NoHead(nn.Module):
    """The features as they are, for a problem that trains nothing.

    Args:
        input_size: features per frame
        output_size: not used
    """

    downsample_rate = 1

    def __init__(self, input_size: int, output_size: int) -> None:
        super().__init__()

    def forward(self, x: Tensor, x_len: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, T, input_size), lengths (B,) -> the same."""
        return x, x_len
