"""x-vectors: time-delay layers, pooling over time, a speaker embedding.

Snyder et al., "X-vectors: robust DNN embeddings for speaker recognition", ICASSP 2018. Sizes and order are those of
SUPERB (s3prl's SuperbXvector), which begins with a projection.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nn.mask import zero_padding
from nn.masked_batch_norm import FrameNorm
from nn.pooling import build_pooling

LAYERS = ((5, 1), (3, 2), (3, 3), (1, 1), (1, 1))  # (kernel size, dilation) of each layer
CONTEXT = 1 + sum((size - 1) * dilation for size, dilation in LAYERS)


class TDNNLayer(nn.Module):
    """A dilated convolution without padding -> ReLU -> dropout -> batch norm, the last two optional."""

    def __init__(
        self, input_size: int, output_size: int, *, size: int, dilation: int, dropout: float, batch_norm: bool
    ) -> None:
        super().__init__()
        self.conv = nn.Conv1d(input_size, output_size, size, dilation=dilation)
        self.lost = (size - 1) * dilation
        self.dropout = nn.Dropout(dropout)
        self.norm = FrameNorm(output_size) if batch_norm else None

    def forward(self, x: Tensor, x_len: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, T, input_size) -> (B, T - lost, output_size)."""
        x = self.dropout(torch.relu(self.conv(x.transpose(1, 2)).transpose(1, 2)))
        x_len = x_len - self.lost
        return (x if self.norm is None else self.norm(x, x_len)), x_len


class XVector(nn.Module):
    """linear -> five time-delay layers (15 frames of context) -> pooling -> linear, ReLU [-> linear, ReLU].

    The embedding is the output of the first linear layer after the pooling. The second one is used in training only,
    between the embedding and the loss, as in the paper (its segment6 and segment7). An utterance of fewer than 15
    frames is filled with zeros to 15.

    Args:
        input_size: features per frame
        output_size: embedding size
        hidden_size: size of the projection
        tdnn_size: channels of the first four time-delay layers
        aggregation_size: channels of the last time-delay layer, which are pooled
        pooling: mean, statistics, self_attentive or attentive_statistics
        dropout: dropout after each time-delay layer
        batch_norm: batch normalisation after each time-delay layer
    """

    context = CONTEXT

    def __init__(
        self,
        input_size: int,
        output_size: int,
        hidden_size: int = 512,
        tdnn_size: int = 512,
        aggregation_size: int = 1500,
        pooling: str = "statistics",
        dropout: float = 0.0,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        self.projector = nn.Linear(input_size, hidden_size)
        sizes = [hidden_size, *[tdnn_size] * 4, aggregation_size]
        self.layers = nn.ModuleList(
            TDNNLayer(size_in, size_out, size=size, dilation=dilation, dropout=dropout, batch_norm=batch_norm)
            for size_in, size_out, (size, dilation) in zip(sizes, sizes[1:], LAYERS)
        )
        self.pooling = build_pooling(pooling, aggregation_size)
        self.embedding = nn.Linear(self.pooling.output_size, output_size)
        self.segment7 = nn.Linear(output_size, output_size)

    def forward(self, x: Tensor, x_len: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, T, input_size), x_len (B,) -> (B, output_size) and lengths of one (B,)."""
        x = zero_padding(self.projector(x), x_len)
        x = F.pad(x, (0, 0, 0, max(0, CONTEXT - x.shape[1])))
        frames = x_len.clamp_min(CONTEXT)
        for layer in self.layers:
            x, frames = layer(x, frames)
        y = torch.relu(self.embedding(self.pooling(x, frames)))
        if self.training:
            y = torch.relu(self.segment7(y))
        return y, torch.ones_like(x_len)
