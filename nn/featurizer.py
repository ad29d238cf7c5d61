"""The weighted sum of an upstream's layers (SUPERB, Yang et al. 2021, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from nn.mask import frame_mask, zero_padding
from nn.weighted_sum import weighted_sum


class UpstreamSizes(Protocol):
    """What a featurizer needs to know of an upstream."""

    hidden_sizes: list[int]
    downsample_rates: list[int]


class Featurizer(nn.Module):
    """Reduces an upstream's L layers to one by a softmax-weighted sum; all weights are equal at the start.

    With one layer selected, that layer is the result and there are no weights. States in half precision (a
    cache's, say) are summed in float32. Layers of several strides are brought to the slowest one: frames of the others
    that fall into one of its frames are averaged.

    Args:
        upstream: any object with hidden_sizes and downsample_rates; only these are read
        layer_selections: layers to sum: one index or a list (negative: from the end), "last", or null for all
        normalize: give each frame of each layer zero mean and unit variance before the sum
    """

    def __init__(
        self,
        upstream: UpstreamSizes,
        layer_selections: int | list[int] | str | None = None,
        normalize: bool = False,
    ) -> None:
        super().__init__()
        self.num_layers = len(upstream.hidden_sizes)
        self.layers = _select(layer_selections, self.num_layers)
        self.normalize = normalize
        self.output_size = _common(upstream.hidden_sizes, self.layers, "hidden sizes")
        self.downsample_rate = max(upstream.downsample_rates[i] for i in self.layers)
        self.ratios = [_ratio(self.downsample_rate, upstream.downsample_rates[i]) for i in self.layers]
        if len(self.layers) > 1:
            self.weights = nn.Parameter(torch.zeros(len(self.layers)))

    @property
    def needed_layers(self) -> list[int]:
        """The upstream's layers that ``forward`` reads; it takes their states alone too."""
        return sorted(self.layers) if len(self.layers) == self.num_layers else self.layers

    @property
    def commutes_with_mean(self) -> bool:
        """Whether the mean over frames of what it gives is what it gives for the mean over frames."""
        return not self.normalize and max(self.ratios) == 1

    def layer_weights(self) -> Tensor:
        """The weight of each selected layer, in the order of ``layers``: they sum to one."""
        if len(self.layers) == 1:
            return torch.ones(1)
        return self.weights.softmax(dim=0)

    def weight_by_layer(self) -> dict[int, float]:
        """What training made of the weights: ``{layer: weight}``, layers counted from 0."""
        return dict(zip(self.layers, self.layer_weights().tolist()))

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
        chosen = self.layers if len(hidden_states) == self.num_layers else range(len(self.layers))
        lens = [lengths if isinstance(lengths, Tensor) and lengths.dim() == 1 else lengths[i] for i in chosen]
        states = [hidden_states[i] for i in chosen]
        if len(states) > 1 and self.commutes_with_mean and all(map(_is_kept, states)):
            return weighted_sum(self.layer_weights(), states), lens[0]
        states = [_at_least_float(state) for state in states]
        if self.normalize:
            states = [nn.functional.layer_norm(state, state.shape[-1:]) for state in states]
        if len(states) == 1:
            return states[0], lens[0]
        length = lens[0]
        if max(self.ratios) > 1:
            states, length = _at_one_stride(states, lens, self.ratios)
        # not torch.stack: copying 13 states takes longer than summing them one by one
        weights = self.layer_weights().to(states[0].dtype).unbind()
        x = weights[0] * states[0]
        for weight, state in zip(weights[1:], states[1:]):
            x = x + weight * state
        return x, length


def _is_kept(x: Tensor) -> bool:
    """Whether a state comes from a cache: it then needs no gradient."""
    return x.dtype == torch.float16 and x.device.type == "cpu" and not x.requires_grad


def _at_least_float(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _at_one_stride(states: list[Tensor], lens: list[Tensor], ratios: list[int]) -> tuple[list[Tensor], Tensor]:
    """Each state with the mean of ``ratio`` frames in place of them; the lengths are those that all layers have."""
    means = [_means(state, length, ratio) for state, length, ratio in zip(states, lens, ratios)]
    frames = min(mean.shape[1] for mean in means)
    each = [torch.div(length + ratio - 1, ratio, rounding_mode="floor") for length, ratio in zip(lens, ratios)]
    return [mean[:, :frames] for mean in means], torch.stack(each).amin(dim=0)


def _means(x: Tensor, x_len: Tensor, ratio: int) -> Tensor:
    """(B, T, H) -> (B, ceil(T / ratio), H): the mean over the true ones among each ``ratio`` frames."""
    if ratio == 1:
        return x
    left = -x.shape[1] % ratio
    sums = pad(zero_padding(x, x_len), (0, 0, 0, left)).unflatten(1, (-1, ratio)).sum(dim=2)
    count = frame_mask(x_len, x.shape[1] + left).unflatten(1, (-1, ratio)).sum(dim=2)
    return sums / count.clamp_min(1).unsqueeze(-1)


def _ratio(slowest: int, rate: int) -> int:
    """How many frames at ``rate`` fall into one at ``slowest``."""
    if slowest % rate:
        raise ValueError(
            f"layers of one frame per {rate} samples cannot be brought to one per {slowest}, which is no multiple;"
            " select layers of one kind with layer_selections"
        )
    return slowest // rate


def _select(selections: int | list[int] | str | None, num_layers: int) -> list[int]:
    """Indices from 0 of the selected layers, checked."""
    if selections is None:
        return list(range(num_layers))
    if isinstance(selections, int):
        selections = [selections]
    if selections == "last":
        return [num_layers - 1]
    if isinstance(selections, str) or not len(selections):
        raise ValueError(
            f'layer_selections is {selections!r}, expected a layer index or a list of them, "last", or null for all'
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
