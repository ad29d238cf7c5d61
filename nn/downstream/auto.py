"""A head of utterances that follows from how long the upstream's frames are."""

from __future__ import annotations

from torch import nn

from nn.downstream.linear import MeanPoolAdapter, MeanPoolLinear
from nn.downstream.tdnn import TDNN

AUTO = "auto"
LONGEST_STRIDE = 1600
"""Samples (0.1 s) from one frame to the next up to which layers that join frames are of use. A frame of filter banks or
of a self-supervised encoder is a part of a sound; one of a speaker encoder is a window with several words."""


def auto(
    input_size: int,
    output_size: int,
    input_stride: int,
    channels: list[int] = [128, 128, 128],  # noqa: B006 (a literal, for --help; never changed)
    stack: int = 2,
    pooling: str = "statistics",
    dropout: float = 0.1,
    is_embedding: bool = False,
) -> nn.Module:
    """``tdnn`` with these settings; if frames are more than 0.1 s apart, a linear head on their mean without them.

    Args:
        input_size: features per frame
        output_size: number of classes
        input_stride: samples from one frame to the next
        channels: channels of each layer, one number per layer
        stack: join this many successive frames before the first layer; the last group is filled with zeros
        pooling: mean, statistics, self_attentive or attentive_statistics
        dropout: dropout after each layer and after the pooling
        is_embedding: frames more than 0.1 s apart get mean_pool_adapter, not mean_pool_linear
    """
    if input_stride <= LONGEST_STRIDE:
        return TDNN(input_size, output_size, channels, stack, pooling, dropout)
    return (MeanPoolAdapter if is_embedding else MeanPoolLinear)(input_size, output_size)
