"""HEAR's head: hidden layers with batch norm, on each frame or on the mean of an utterance's frames.

Turian et al., "HEAR: Holistic Evaluation of Audio Representations", NeurIPS 2021 competition track (PMLR 176).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nn.masked_batch_norm import FrameNorm
from nn.pooling import MeanPooling


class FrameMLP(nn.Module):
    """[linear -> batch norm -> dropout -> ReLU] -> linear, on each frame; the norms see the true frames alone.

    The weights start as HEAR's: Xavier's uniform, with a gain of sqrt 2 after a ReLU.

    Args:
        input_size: features per frame
        output_size: number of classes
        hidden_size: units of each hidden layer
        dropout: dropout after each norm
    """

    downsample_rate = 1
    framewise = True

    def __init__(
        self,
        input_size: int,
        output_size: int,
        hidden_size: list[int] = [1024, 1024],  # noqa: B006 (a literal, for --help; never changed)
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        sizes = [input_size, *hidden_size]
        self.linears = nn.ModuleList(nn.Linear(*pair) for pair in zip(sizes, sizes[1:]))
        self.norms = nn.ModuleList(FrameNorm(size) for size in hidden_size)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(sizes[-1], output_size)
        for number, linear in enumerate([*self.linears, self.output]):
            nn.init.xavier_uniform_(linear.weight, gain=nn.init.calculate_gain("relu" if number else "linear"))

    def forward(self, x: Tensor, x_len: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, T, input_size) -> (B, T, output_size); lengths (B,) pass through."""
        for linear, norm in zip(self.linears, self.norms):
            x = torch.relu(self.dropout(norm(linear(x), x_len)))
        return self.output(x), x_len


class MeanPoolMLP(FrameMLP):
    """The mean over the true frames -> [linear -> batch norm -> dropout -> ReLU] -> linear.

    Args:
        input_size: features per frame
        output_size: number of classes
        hidden_size: units of each hidden layer
        dropout: dropout after each norm
    """

    commutes_with_mean = True

    def __init__(
        self,
        input_size: int,
        output_size: int,
        hidden_size: list[int] = [1024, 1024],  # noqa: B006 (a literal, for --help; never changed)
        dropout: float = 0.1,
    ) -> None:
        super().__init__(input_size, output_size, hidden_size, dropout)
        self.pooling = MeanPooling()

    def forward(self, x: Tensor, x_len: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, T, input_size), x_len (B,) -> (B, output_size) and lengths of one (B,)."""
        ones = torch.ones_like(x_len)
        y, _ = super().forward(self.pooling(x, x_len)[:, None], ones)
        return y[:, 0], ones
