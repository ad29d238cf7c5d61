"""A small utterance classifier with time-delay layers, for upstreams such as filter banks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nn.downstream.rnn import stack_frames
from nn.downstream.xvector import TDNNLayer
from nn.mask import zero_padding
from nn.pooling import build_pooling


class TDNN(nn.Module):
    """[stack] -> time-delay layers with batch norm -> pooling -> dropout -> linear.

    Layer k sees three frames, k frames apart (Waibel et al., 1989; dilated as in x-vectors). An utterance shorter than
    the context of all layers is filled with zeros.

    Args:
        input_size: features per frame
        output_size: number of classes
        channels: channels of each layer, one number per layer
        stack: join this many successive frames before the first layer; the last group is filled with zeros
        pooling: mean, statistics, self_attentive or attentive_statistics
        dropout: dropout after each layer and after the pooling
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        channels: list[int] = [128, 128, 128],  # noqa: B006 (a literal, for --help; never changed)
        stack: int = 2,
        pooling: str = "statistics",
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if not channels or min(channels) < 1 or stack < 1:
            raise ValueError(
                f"channels is {channels!r} and stack {stack}, expected a positive size for each layer and a stack of 1"
                " or more"
            )
        self.stack = stack
        sizes = [input_size * stack, *channels]
        self.layers = nn.ModuleList(
            TDNNLayer(size_in, size_out, size=3, dilation=dilation, dropout=dropout, batch_norm=True)
            for dilation, (size_in, size_out) in enumerate(zip(sizes, sizes[1:]), start=1)
        )
        self.context = 1 + sum(layer.lost for layer in self.layers)
        self.pooling = build_pooling(pooling, sizes[-1])
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(self.pooling.output_size, output_size)

    def forward(self, x: Tensor, x_len: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, T, input_size), x_len (B,) -> (B, output_size) and lengths of one (B,)."""
        x, frames = stack_frames(zero_padding(x, x_len), x_len, self.stack)
        x = F.pad(x, (0, 0, 0, max(0, self.context - x.shape[1])))
        frames = frames.clamp_min(self.context)
        for layer in self.layers:
            x, frames = layer(x, frames)
        return self.output(self.dropout(self.pooling(x, frames))), torch.ones_like(x_len)
