"""From frames to one vector an utterance."""

from __future__ import annotations

from torch import Tensor, nn

from nn.mask import zero_padding


class MeanPooling(nn.Module):
    """The mean over an utterance's true frames; an utterance without frames gives zeros."""

    def forward(self, x: Tensor, x_len: Tensor) -> Tensor:
        """x (B, T, H), x_len (B,) -> (B, H)."""
        return zero_padding(x, x_len).sum(dim=1) / x_len.clamp_min(1).to(x.dtype).unsqueeze(1)
