"""A unidirectional recurrent encoder on a recording that arrives in chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from nn.downstream.frame_groups import Stacking, whole_groups

if TYPE_CHECKING:
    from nn.downstream.rnn import RNNEncoder, RNNLayer


class RNNStream:
    """One recording on its way through an :class:`RNNEncoder`.

    Frames wait for those that are stacked or sub-sampled with them. At the end, a stack is filled with zeros, and
    frames that make no whole sub-sampled one are dropped, as in ``forward``.
    """

    def __init__(self, encoder: RNNEncoder) -> None:
        self.encoder = encoder
        self.stacking = Stacking(encoder.stack)
        self.layers = [_LayerStream(layer) for layer in encoder.layers]

    def __call__(self, x: Tensor, is_last: bool) -> Tensor:
        """(1, T, input_size) -> (1, T', output_size)."""
        x = self.stacking(x, is_last)
        if self.encoder.input_proj is not None:
            x = self.encoder.input_proj(x)
        for layer in self.layers:
            x = layer(x, is_last)
        return self.encoder.output(x)


class _LayerStream:
    """One recording on its way through a layer."""

    def __init__(self, layer: RNNLayer) -> None:
        self.layer = layer
        self.state: Any = None
        self.waiting: Tensor | None = None
        self.is_empty = True

    def __call__(self, x: Tensor, is_last: bool) -> Tensor:
        layer = self.layer
        y = x.new_zeros(1, 0, layer.forward_rnn.hidden_size)
        if x.shape[1]:  # torch refuses to apply a recurrence to no frames
            y, self.state = layer.forward_rnn(x, self.state)
        y, self.waiting = whole_groups(y, self.waiting, layer.rate)
        if is_last and self.is_empty and not y.shape[1]:
            y = self.waiting  # a short recording keeps one frame
        if not y.shape[1]:
            return x.new_zeros(1, 0, layer.output_size)
        self.is_empty = False
        return layer.after_recurrence(y, torch.tensor([y.shape[1]], device=y.device))[0]
