"""A conformer with attention of limited reach on a recording that arrives in chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from nn.downstream.frame_groups import Stacking, whole_groups

if TYPE_CHECKING:
    from nn.downstream.conformer import Conformer, ConformerLayer


class ConformerStream:
    """One recording on its way through a :class:`Conformer`, a chunk of its attention at a time."""

    def __init__(self, encoder: Conformer) -> None:
        self.encoder = encoder
        self.stacking = Stacking(encoder.stack)
        self.layers = [_LayerStream(layer) for layer in encoder.layers]
        self.waiting: Tensor | None = None
        self.position = 0

    def __call__(self, x: Tensor, is_last: bool) -> Tensor:
        """(1, T, input_size) -> (1, T', output_size)."""
        x, self.waiting = whole_groups(self.stacking(x, is_last), self.waiting, self.encoder.chunk)
        chunks = list(x.split(self.encoder.chunk, dim=1)) if x.shape[1] else []
        if is_last and self.waiting.shape[1]:
            chunks.append(self.waiting)
        outputs = [self._encoded(chunk) for chunk in chunks]
        return torch.cat(outputs, dim=1) if outputs else x.new_zeros(1, 0, self.encoder.output.out_features)

    def _encoded(self, x: Tensor) -> Tensor:
        x = self.encoder.embedded(x, self.position)
        self.position += x.shape[1]
        for layer in self.layers:
            x = layer(x)
        return self.encoder.output(x)


class _LayerStream:
    """One recording on its way through a layer."""

    def __init__(self, layer: ConformerLayer) -> None:
        self.layer = layer
        self.seen: tuple[Tensor, Tensor] | None = None
        """Keys and values of the chunks before, (1, heads, S, D / heads)."""
        self.convolved: Tensor | None = None
        """The frames before that the convolution sees, (1, kernel - 1, D)."""

    def __call__(self, x: Tensor) -> Tensor:
        """A chunk (1, T, D) -> (1, T, D)."""
        layer = self.layer
        x = x + 0.5 * layer.first(x)
        x = x + self._attended(layer.attention_norm(x))
        x = x + self._convolved(x)
        return layer.norm(x + 0.5 * layer.second(x))

    def _attended(self, x: Tensor) -> Tensor:
        attention, left_chunks = self.layer.attention, self.layer.left_chunks
        own = attention.keys_and_values(x)
        keys, values = own if self.seen is None else (torch.cat(pair, dim=2) for pair in zip(self.seen, own))
        kept = keys.shape[2] if left_chunks is None else left_chunks * self.layer.chunk
        self.seen = tuple(state[:, :, max(0, state.shape[2] - kept) :] for state in (keys, values))
        return attention(x, keys, values)

    def _convolved(self, x: Tensor) -> Tensor:
        convolution = self.layer.convolution
        before = convolution.kernel - 1
        gated = convolution.gated(x)
        past = gated.new_zeros(1, before, gated.shape[2]) if self.convolved is None else self.convolved
        gated = torch.cat([past, gated], dim=1)
        self.convolved = gated[:, gated.shape[1] - before :]
        return convolution.mixed(gated, torch.tensor([x.shape[1]], device=x.device))
