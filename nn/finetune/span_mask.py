"""Masks on an encoder's features in fine-tuning, as in wav2vec 2.0 (Baevski et al. 2020, section 4.3).

Written here because the source libraries draw them with numpy, one utterance at a time. All random numbers of a call
are one draw from torch's global CPU generator, as in :mod:`nn.specaug`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SpanMask(nn.Module):
    """Replaces spans of frames by one learnt vector or zero, and spans of features by zero; in training mode only.

    The number of spans is that which would cover ``prob`` of the axis without overlap; its fraction is drawn. Starts
    are distinct, and each span lies inside the utterance.

    Args:
        time_prob: share of each utterance's frames that spans would cover
        time_length: frames of a span
        feature_prob: share of the features that spans would cover
        feature_length: features of a span
    """

    def __init__(
        self,
        time_prob: float = 0.0,
        time_length: int = 10,
        feature_prob: float = 0.0,
        feature_length: int = 64,
    ) -> None:
        super().__init__()
        for name, prob in (("time_prob", time_prob), ("feature_prob", feature_prob)):
            if not 0 <= prob < 1:
                raise ValueError(f"{name} is {prob}, expected at least 0 and less than 1")
        for name, length in (("time_length", time_length), ("feature_length", feature_length)):
            if length < 1:
                raise ValueError(f"{name} is {length}, expected at least 1")
        self.time_prob, self.time_length = time_prob, time_length
        self.feature_prob, self.feature_length = feature_prob, feature_length

    def forward(self, x: Tensor, x_len: Tensor, vector: Tensor | None = None) -> Tensor:
        """x (B, T, H), x_len (B,) int64, vector (H,) that replaces masked frames -> (B, T, H)."""
        if not self.training or not (self.time_prob or self.feature_prob):
            return x
        batch, frames, size = x.shape
        draws = torch.rand(batch, frames + size + 2).to(x.device, non_blocking=True)
        time, features = draws.split([frames + 1, size + 1], dim=1)
        if self.time_prob:
            mask = spans(time, x_len, self.time_prob, self.time_length).unsqueeze(2)
            x = x.masked_fill(mask, 0.0) if vector is None else torch.where(mask, vector.to(x.dtype), x)
        if self.feature_prob:
            sizes = torch.full_like(x_len, size)
            x = x.masked_fill(spans(features, sizes, self.feature_prob, self.feature_length).unsqueeze(1), 0.0)
        return x


def spans(draws: Tensor, sizes: Tensor, prob: float, length: int) -> Tensor:
    """The union of each item's spans: (B, axis) bool.

    Args:
        draws: (B, axis + 1) in [0, 1).
        sizes: (B,), each item's own size along the axis.
        prob: share of the size that spans would cover without overlap.
        length: length of a span; a shorter item has none.
    """
    number = (prob * sizes / length + draws[:, 0]).long()
    places = torch.arange(draws.shape[1] - 1, device=draws.device)
    allowed = places <= (sizes - length).unsqueeze(1)
    order = draws[:, 1:].masked_fill(~allowed, 2.0).argsort(dim=1).argsort(dim=1)
    starts = (order < number.unsqueeze(1)) & allowed
    begun = starts.long().cumsum(dim=1)
    return begun > torch.nn.functional.pad(begun, (length, 0))[:, : begun.shape[1]]
