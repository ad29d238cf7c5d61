"""Pooling: from the true frames of an utterance to one vector.

Notation: B: batch, T: frames, H: features a frame.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nn.mask import frame_mask, zero_padding

VARIANCE_FLOOR = 1e-12  # the root of a variance of zero has no gradient; s3prl has no floor


class MeanPooling(nn.Module):
    """The mean over an utterance's true frames; an utterance without frames gives zeros.

    Args:
        input_size: features a frame; None if ``output_size`` is not needed
    """

    def __init__(self, input_size: int | None = None) -> None:
        super().__init__()
        self.output_size = input_size

    def forward(self, x: Tensor, x_len: Tensor) -> Tensor:
        """x (B, T, H), x_len (B,) -> (B, H)."""
        return zero_padding(x, x_len).sum(dim=1) / x_len.clamp_min(1).to(x.dtype).unsqueeze(1)


class StatisticsPooling(nn.Module):
    """Mean and standard deviation over the true frames (Snyder et al., "X-vectors", ICASSP 2018).

    The variance is that of the frames themselves (divided by their number, not one less), so that one frame is
    enough; the deviation is never less than 1e-6.
    """

    def __init__(self, input_size: int) -> None:
        super().__init__()
        self.output_size = 2 * input_size

    def forward(self, x: Tensor, x_len: Tensor) -> Tensor:
        """x (B, T, H), x_len (B,) -> (B, 2 H)."""
        return torch.cat(weighted_statistics(x, uniform_weights(x, x_len)), dim=-1)


class SelfAttentivePooling(nn.Module):
    """A mean of frames weighted by softmax(v . tanh(W x + b)).

    Zhu et al., "Self-attentive speaker embeddings", Interspeech 2018, with one head.

    Args:
        input_size: features per frame
        attention_size: rows of W; None for ``input_size``
    """

    def __init__(self, input_size: int, attention_size: int | None = None) -> None:
        super().__init__()
        self.output_size = input_size
        self.hidden = nn.Linear(input_size, attention_size or input_size)
        self.score = nn.Linear(attention_size or input_size, 1, bias=False)

    def forward(self, x: Tensor, x_len: Tensor) -> Tensor:
        """x (B, T, H), x_len (B,) -> (B, H)."""
        x = zero_padding(x, x_len)
        weights = masked_softmax(self.score(torch.tanh(self.hidden(x))), x_len)
        return (weights * x).sum(dim=1)


class AttentiveStatisticsPooling(nn.Module):
    """Weighted mean and deviation; each channel has its own softmax over time as weights.

    Okabe et al., Interspeech 2018, in the form of ECAPA-TDNN (Desplanques et al., Interspeech 2020, section 3.1): the
    attention sees each frame together with the utterance's plain mean and deviation (``global_context``).

    Args:
        input_size: channels
        attention_size: units of the attention's hidden layer
        global_context: let the attention see the whole utterance
    """

    def __init__(self, input_size: int, attention_size: int = 128, global_context: bool = True) -> None:
        super().__init__()
        self.output_size = 2 * input_size
        self.global_context = global_context
        self.hidden = nn.Linear(input_size * (3 if global_context else 1), attention_size)
        self.score = nn.Linear(attention_size, input_size)

    def forward(self, x: Tensor, x_len: Tensor) -> Tensor:
        """x (B, T, H), x_len (B,) -> (B, 2 H)."""
        x = zero_padding(x, x_len)
        context = x
        if self.global_context:
            statistics = torch.cat(weighted_statistics(x, uniform_weights(x, x_len)), dim=-1)
            context = torch.cat([x, statistics.unsqueeze(1).expand(-1, x.shape[1], -1)], dim=-1)
        weights = masked_softmax(self.score(torch.tanh(self.hidden(context))), x_len)
        return torch.cat(weighted_statistics(x, weights), dim=-1)


def uniform_weights(x: Tensor, x_len: Tensor) -> Tensor:
    """1 / length for the true frames, 0 for the others: (B, T, 1)."""
    mask = frame_mask(x_len, x.shape[1]).unsqueeze(-1)
    return mask / x_len.clamp_min(1).to(x.dtype).view(-1, 1, 1)


def masked_softmax(scores: Tensor, x_len: Tensor) -> Tensor:
    """Softmax over the true frames, 0 for the others and for empty items: (B, T, C) -> (B, T, C)."""
    mask = frame_mask(x_len, scores.shape[1]).unsqueeze(-1)
    # the least finite number, not -inf: a row without any frame must not become NaN
    scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return scores.softmax(dim=1).masked_fill(~mask, 0.0)


def weighted_statistics(x: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (B, H) of x (B, T, H) with weights (B, T, H or 1) that sum to one over time."""
    x = x.masked_fill(weights == 0, 0.0)
    mean = (weights * x).sum(dim=1)
    variance = (weights * (x - mean.unsqueeze(1)).square()).sum(dim=1)
    floor = max(VARIANCE_FLOOR, torch.finfo(variance.dtype).tiny)  # half precision rounds 1e-12 to zero
    return mean, variance.clamp_min(floor).sqrt()


POOLINGS = {
    "mean": MeanPooling,
    "statistics": StatisticsPooling,
    "self_attentive": SelfAttentivePooling,
    "attentive_statistics": AttentiveStatisticsPooling,
}


def build_pooling(name: str, input_size: int) -> nn.Module:
    """The pooling called ``name`` over ``input_size`` features."""
    if name not in POOLINGS:
        raise ValueError(f"pooling is {name!r}, expected one of {', '.join(POOLINGS)}")
    return POOLINGS[name](input_size)
