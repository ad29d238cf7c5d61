"""ECAPA-TDNN: emphasised channel attention, propagation and aggregation.

Desplanques, Thienpondt and Demuynck, "ECAPA-TDNN", Interspeech 2020 (arXiv:2005.07143). Padding changes nothing:
convolutions see zeros past the end of an utterance, as they do if it is alone, and squeezes, normalisations and the
pooling count true frames only.

Notation: B: batch, T: frames, C: channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nn.mask import zero_padding
from nn.masked_batch_norm import FrameNorm, VectorNorm
from nn.pooling import MeanPooling, build_pooling


class ConvBlock(nn.Module):
    """Convolution of the true frames (same length) -> ReLU -> batch norm."""

    def __init__(self, input_size: int, output_size: int, size: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv1d(input_size, output_size, size, dilation=dilation, padding=dilation * (size - 1) // 2)
        self.norm = FrameNorm(output_size)

    def forward(self, x: Tensor, x_len: Tensor) -> Tensor:
        """x (B, T, input_size), zero past its lengths -> (B, T, output_size), zero past them too."""
        return self.norm(torch.relu(self.conv(x.transpose(1, 2)).transpose(1, 2)), x_len)


class Res2Block(nn.Module):
    """Convolutions of ``scale`` groups of channels in sequence (Gao et al., "Res2Net", 2019).

    The first group passes through. Each other group is convolved after the output of the previous one is added to it.
    """

    def __init__(self, channels: int, size: int, dilation: int, scale: int) -> None:
        super().__init__()
        width = channels // scale
        self.blocks = nn.ModuleList(ConvBlock(width, width, size, dilation) for _ in range(scale - 1))

    def forward(self, x: Tensor, x_len: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        first, *rest = x.chunk(len(self.blocks) + 1, dim=-1)
        outputs = [first]
        for number, (block, group) in enumerate(zip(self.blocks, rest)):
            outputs.append(block(group if number == 0 else group + outputs[-1], x_len))
        return torch.cat(outputs, dim=-1)


class SqueezeExcitation(nn.Module):
    """Channels weighted by a function of their means over the utterance (Hu et al., CVPR 2018)."""

    def __init__(self, channels: int, bottleneck: int) -> None:
        super().__init__()
        self.pooling = MeanPooling(channels)
        self.squeeze = nn.Linear(channels, bottleneck)
        self.excite = nn.Linear(bottleneck, channels)

    def forward(self, x: Tensor, x_len: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        weights = torch.sigmoid(self.excite(torch.relu(self.squeeze(self.pooling(x, x_len)))))
        return x * weights.unsqueeze(1)


class SERes2Block(nn.Module):
    """1x1 -> Res2 -> 1x1 -> squeeze-excitation, with a residual connection (figure 2 of the paper)."""

    def __init__(self, channels: int, *, size: int, dilation: int, scale: int, bottleneck: int) -> None:
        super().__init__()
        self.into = ConvBlock(channels, channels)
        self.res2 = Res2Block(channels, size, dilation, scale)
        self.out = ConvBlock(channels, channels)
        self.attention = SqueezeExcitation(channels, bottleneck)

    def forward(self, x: Tensor, x_len: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        return x + self.attention(self.out(self.res2(self.into(x, x_len), x_len), x_len), x_len)


class ECAPA(nn.Module):
    """ECAPA-TDNN from frames to a speaker embedding.

    Args:
        input_size: features per frame
        output_size: embedding size
        channels: channels of the convolutions, 512 or 1024 in the paper
        aggregation_size: channels of the last linear layer before the pooling
        scale: groups of channels in a Res2 block
        bottleneck: units of the squeeze-excitation
        pooling: mean, statistics, self_attentive or attentive_statistics
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        channels: int = 512,
        aggregation_size: int = 1536,
        scale: int = 8,
        bottleneck: int = 128,
        pooling: str = "attentive_statistics",
    ) -> None:
        super().__init__()
        if scale < 2 or channels % scale:
            raise ValueError(f"scale is {scale}, expected at least 2 and a divisor of channels ({channels})")
        self.first = ConvBlock(input_size, channels, 5)
        self.blocks = nn.ModuleList(
            SERes2Block(channels, size=3, dilation=dilation, scale=scale, bottleneck=bottleneck)
            for dilation in (2, 3, 4)
        )
        self.aggregation = nn.Linear(3 * channels, aggregation_size)
        self.pooling = build_pooling(pooling, aggregation_size)
        self.pooled_norm = VectorNorm(self.pooling.output_size)
        self.embedding = nn.Linear(self.pooling.output_size, output_size)
        self.norm = VectorNorm(output_size)

    def forward(self, x: Tensor, x_len: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, T, input_size), x_len (B,) -> (B, output_size) and lengths of one (B,)."""
        total = self.first(zero_padding(x, x_len), x_len)
        outputs = []
        for block in self.blocks:  # each sees the sum of all outputs before it
            outputs.append(block(total, x_len))
            total = total + outputs[-1]
        pooled = self.pooling(torch.relu(self.aggregation(torch.cat(outputs, dim=-1))), x_len)
        return self.norm(self.embedding(self.pooled_norm(pooled))), torch.ones_like(x_len)
