"""The weighted sum of an upstream's layers (SUPERB, Yang et al. 2021, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn


class UpstreamSizes(Protocol):
    """What a featurizer needs to know of an upstream."""

    hidden_sizes: list[int]
    downsample_rates: list[int]


class Featurizer(nn.Module):
    """Reduces an upstream's L layers to one by a softmax-weighted sum; all weights are equal at the start.

    With one layer selected, that layer is the result and there are no weights. States in half precision (a
    cache's, say) are summed in float32.

    Args:
        upstream: any object with hidden_sizes and downsample_rates; only these are read
        layer_selections: layers to sum: a list of indices (negative: from the end), "last", or null for all
        normalize: give each frame of each layer zero mean and unit variance before the sum
    """

    def __init__(
        self,
        upstream: UpstreamSizes,
        layer_selections: list[int] | str | None = None,
        normalize: bool = False,
    ) -> None:
        super().__init__()
        self.num_layers = len(upstream.hidden_sizes)
        self.layers = _select(layer_selections, self.num_layers)
        self.normalize = normalize
        self.output_size = _common(upstream.hidden_sizes, self.layers, "hidden sizes")
        self.downsample_rate = _common(upstream.downsample_rates, self.layers, "downsample rates")
        if len(self.layers) > 1:
            self.weights = nn.Parameter(torch.zeros(len(self.layers)))

    @property
    def needed_layers(self) -> list[int]:
        """The upstream's layers that ``forward`` reads; it takes their states alone too."""
        return sorted(self.layers) if len(self.layers) == self.num_layers else self.layers

    @property
    def commutes_with_mean(self) -> bool:
        """Whether the mean over frames of what it gives is what it gives for the mean over frames."""
        return not self.normalize

    def layer_weights(self) -> Tensor:
        """The weight of each selected layer, in the order of ``layers``: they sum to one."""
        if len(self.layers) == 1:
            return torch.ones(1)
        return self.weights.softmax(dim=0)

    def forward(
        self, hidden_states: Sequence[Tensor] | Tensor, lengths: Sequence[Tensor] | Tensor
    ) -> tuple[Tensor, Tensor]:
        """Sum the layers.

        Args:
            hidden_states: all L states of the upstream, each (B, T', H), or one tensor (L, B, T', H); or those of
                the selected layers alone, in their order.
            lengths: L int64 tensors (B,), or one tensor (B,) for all layers.

        Returns:
            (B, T', H) and its lengths (B,).
        """
        if len(hidden_states) not in (self.num_layers, len(self.layers)):
            raise ValueError(
                f"the featurizer was built for an upstream of {self.num_layers} layers, "
                f"got hidden states of {len(hidden_states)}"
            )
        layers = self.layers if len(hidden_states) == self.num_layers else range(len(self.layers))
        states = [_at_least_float(hidden_states[i]) for i in layers]
        if self.normalize:
            states = [nn.functional.layer_norm(state, state.shape[-1:]) for state in states]
        first_lengths = lengths if isinstance(lengths, Tensor) and lengths.dim() == 1 else lengths[layers[0]]
        if len(states) == 1:
            return states[0], first_lengths
        # not torch.stack: copying 13 states takes longer than summing them one by one
        weights = self.layer_weights().to(states[0].dtype).unbind()
        x = weights[0] * states[0]
        for weight, state in zip(weights[1:], states[1:]):
            x = x + weight * state
        return x, first_lengths


def _at_least_float(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _select(selections: list[int] | str | None, num_layers: int) -> list[int]:
    """Indices from 0 of the selected layers, checked."""
    if selections is None:
        return list(range(num_layers))
    if selections == "last":
        return [num_layers - 1]
    if isinstance(selections, str) or not len(selections):
        raise ValueError(
            f'layer_selections is {selections!r}, expected a list of layer indices, "last", or null for all layers'
        )
    for index in selections:
        if not -num_layers <= index < num_layers:
            raise ValueError(
                f"layer_selections has {index}, but the upstream has {num_layers} layers: "
                f"expected {-num_layers} to {num_layers - 1}"
            )
    layers = [index % num_layers for index in selections]
    if len(set(layers)) < len(layers):
        raise ValueError(
            f"layer_selections {list(selections)} names a layer twice: counted from 0 they are {layers}; name each once"
        )
    return layers


def _common(values: Sequence[int], layers: list[int], what: str) -> int:
    """The one value that the selected layers share."""
    chosen = {values[i] for i in layers}
    if len(chosen) > 1:
        raise ValueError(
            f"the selected layers have different {what}, {[values[i] for i in layers]}, and cannot be "
            f"summed; select layers of one kind with layer_selections (the upstream has {list(values)})"
        )
    return chosen.pop()
