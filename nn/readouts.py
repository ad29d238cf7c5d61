"""Readouts of an upstream's layers beside the weighted sum: layers that are weighed anew, or convolved.

Notation: L: layers, B: batch, T: frames, H: features.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nn.pooling import MeanPooling


class GatedSum(nn.Module):
    """A sum of layers whose weights follow from the layers: a linear score of each, and a softmax over layers.

    The attention that pools frames in Lin et al., "A structured self-attentive sentence embedding", ICLR 2017 (with
    one head and no hidden layer), over layers in place of frames. All weights are equal at the start.

    Args:
        num_layers: L
        size: H
        per_utterance: score the means over time, so that all frames of an utterance have the same weights
    """

    def __init__(self, num_layers: int, size: int, per_utterance: bool = False) -> None:
        super().__init__()
        self.per_utterance = per_utterance
        self.score = nn.Parameter(torch.zeros(size))
        self.bias = nn.Parameter(torch.zeros(num_layers))

    def forward(self, states: Sequence[Tensor], lengths: Tensor) -> Tensor:
        """L states (B, T, H) and their lengths (B,) -> (B, T, H)."""
        scored = [MeanPooling()(x, lengths).unsqueeze(1) for x in states] if self.per_utterance else states
        scores = torch.stack([x @ self.score for x in scored], dim=-1) + self.bias
        weights = scores.softmax(dim=-1).unsqueeze(-2).unbind(-1)  # L of (B, T or 1, 1)
        x = weights[0] * states[0]
        for weight, state in zip(weights[1:], states[1:]):
            x = x + weight * state
        return x


class HierarchicalConvolution(nn.Module):
    """Convolutions over the layers of each frame, each halving their number, until one is left; ReLU between them.

    After Shih and Harwath, "Interface design for self-supervised speech models", Interspeech 2024, whose interface has
    a depth that is logarithmic in the number of layers. The kernel of 3 layers and the stride of 2 are chosen here.

    Args:
        num_layers: L
        size: H; each convolution has 3 H ** 2 weights
    """

    def __init__(self, num_layers: int, size: int) -> None:
        super().__init__()
        depth = math.ceil(math.log2(num_layers))
        self.convolutions = nn.ModuleList(nn.Conv1d(size, size, 3, stride=2, padding=1) for _ in range(depth))

    def forward(self, states: Sequence[Tensor], lengths: Tensor) -> Tensor:
        """L states (B, T, H) -> (B, T, H)."""
        x = torch.stack(list(states), dim=-1).flatten(0, 1)  # (B T, H, L)
        for number, convolution in enumerate(self.convolutions):
            x = convolution(x if number == 0 else x.relu())
        return x.squeeze(-1).unflatten(0, states[0].shape[:2])
