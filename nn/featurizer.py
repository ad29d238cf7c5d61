"""The readout of an upstream's layers: their weighted sum (SUPERB, Yang et al. 2021, section 3.2), or another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from nn.mask import frame_mask, zero_padding
from nn.readouts import GatedSum, HierarchicalConvolution
from nn.weighted_sum import weighted_sum

READOUTS = ("weighted_sum", "mean", "gated", "gated_utterance", "hierarchical")
"""Trained weights; equal ones; weights that follow from each frame, or each utterance (:class:`nn.readouts.GatedSum`);
convolutions over layers (:class:`nn.readouts.HierarchicalConvolution`)."""


class UpstreamSizes(Protocol):
    """The attributes of an upstream that a featurizer reads."""

    hidden_sizes: list[int]
    downsample_rates: list[int]


class Featurizer(nn.Module):
    """Reduces an upstream's L layers to one, by default by a softmax-weighted sum, equal at the start.

    A single selected layer is the result itself, without weights. States in half precision (cached ones) are summed in
    float32. Layers of different strides are brought to the slowest: the frames of the others that fall into one of its
    frames are averaged.

    Args:
        upstream: any object with hidden_sizes and downsample_rates, the only attributes that are read
        layer_selections: layers to sum: one index or a list (negative: from the end), "last", or null for all
        normalize: give each frame of each layer zero mean and unit variance before the sum
        readout: one of ``READOUTS``; null: weighted_sum
    """

    def __init__(
        self,
        upstream: UpstreamSizes,
        layer_selections: int | list[int] | str | None = None,
        normalize: bool = False,
        readout: str | None = None,
    ) -> None:
        super().__init__()
        if readout is not None and readout not in READOUTS:
            raise ValueError(f"readout is {readout!r}, expected one of {', '.join(READOUTS)}, or null")
        self.num_layers = len(upstream.hidden_sizes)
        self.layers = _select(layer_selections, self.num_layers)
        self.normalize = normalize
        self.output_size = _common(upstream.hidden_sizes, self.layers, "hidden sizes")
        self.downsample_rate = max(upstream.downsample_rates[i] for i in self.layers)
        self.ratios = [_ratio(self.downsample_rate, upstream.downsample_rates[i]) for i in self.layers]
        self.readout = "weighted_sum" if readout is None or len(self.layers) == 1 else readout
        if self.readout.startswith("gated"):
            self.combine = GatedSum(len(self.layers), self.output_size, self.readout == "gated_utterance")
        elif self.readout == "hierarchical":
            self.combine = HierarchicalConvolution(len(self.layers), self.output_size)
        elif self.readout == "weighted_sum" and len(self.layers) > 1:
            self.weights = nn.Parameter(torch.zeros(len(self.layers)))

    @property
    def needed_layers(self) -> list[int]:
        """The upstream's layers that ``forward`` reads; it accepts the states of these alone."""
        return sorted(self.layers) if len(self.layers) == self.num_layers else self.layers

    @property
    def commutes_with_mean(self) -> bool:
        """True if mean-pooling the states first gives the mean of the output."""
        is_linear = self.has_weights or self.readout == "gated_utterance"
        return is_linear and not self.normalize and max(self.ratios) == 1

    @property
    def has_weights(self) -> bool:
        """True if each layer has one weight, the same for every frame."""
        return self.readout in ("weighted_sum", "mean")

    @property
    def framewise(self) -> bool:
        """True if each frame of the output depends on the same frame of the states alone."""
        return max(self.ratios) == 1

    def layer_weights(self) -> Tensor:
        """The weights of the selected layers, in the order of ``layers``; they sum to one.

        Raises:
            ValueError: the readout has no weights, or others for each frame or utterance.
        """
        if not self.has_weights:
            raise ValueError(f"the readout {self.readout} has no weights that are the same for every frame")
        if self.readout == "mean" or len(self.layers) == 1:
            return torch.full((len(self.layers),), 1 / len(self.layers))
        return self.weights.softmax(dim=0)

    def weight_by_layer(self) -> dict[int, float]:
        """The trained weights as ``{layer: weight}``, layers counted from 0; empty if the readout has none."""
        return dict(zip(self.layers, self.layer_weights().tolist())) if self.has_weights else {}

    def forward(
        self, hidden_states: Sequence[Tensor] | Tensor, lengths: Sequence[Tensor] | Tensor
    ) -> tuple[Tensor, Tensor]:
        """Sum the layers.

        Args:
            hidden_states: all L states of the upstream, or those of the selected layers in their order: each
                (B, T', H), or one tensor (L, B, T', H).
            lengths: L int64 tensors (B,), or one tensor (B,) for all layers.

        Returns:
            (B, T', H) and its lengths (B,).
        """
        if len(hidden_states) not in (self.num_layers, len(self.layers)):
            raise ValueError(
                f"the featurizer was built for an upstream of {self.num_layers} layers, "
                f"got hidden states of {len(hidden_states)}"
            )
        indices = self.layers if len(hidden_states) == self.num_layers else range(len(self.layers))
        lens = [lengths if isinstance(lengths, Tensor) and lengths.dim() == 1 else lengths[i] for i in indices]
        states = [hidden_states[i] for i in indices]
        if len(states) > 1 and self.has_weights and self.commutes_with_mean and all(map(_is_cached, states)):
            return weighted_sum(self.layer_weights(), states), lens[0]
        states = [_at_least_float(state) for state in states]
        if self.normalize:
            states = [nn.functional.layer_norm(state, state.shape[-1:]) for state in states]
        if len(states) == 1:
            return states[0], lens[0]
        length = lens[0]
        if max(self.ratios) > 1:
            states, length = _at_one_stride(states, lens, self.ratios)
        if not self.has_weights:
            return self.combine(states, length), length
        # not torch.stack: copying 13 states takes longer than summing them one by one
        weights = self.layer_weights().to(states[0]).unbind()
        x = weights[0] * states[0]
        for weight, state in zip(weights[1:], states[1:]):
            x = x + weight * state
        return x, length


def _is_cached(x: Tensor) -> bool:
    """True if a state comes from a cache; it then needs no gradient."""
    return x.dtype == torch.float16 and x.device.type == "cpu" and not x.requires_grad


def _at_least_float(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _at_one_stride(states: list[Tensor], lens: list[Tensor], ratios: list[int]) -> tuple[list[Tensor], Tensor]:
    """Average each ``ratio`` frames of a state, and cut all states to the lengths that every layer has."""
    means = [_means(state, length, ratio) for state, length, ratio in zip(states, lens, ratios)]
    frames = min(mean.shape[1] for mean in means)
    lengths = [torch.div(length + ratio - 1, ratio, rounding_mode="floor") for length, ratio in zip(lens, ratios)]
    return [mean[:, :frames] for mean in means], torch.stack(lengths).amin(dim=0)


def _means(x: Tensor, x_len: Tensor, ratio: int) -> Tensor:
    """Mean over the true frames among each ``ratio`` frames: (B, T, H) -> (B, ceil(T / ratio), H)."""
    if ratio == 1:
        return x
    missing = -x.shape[1] % ratio
    sums = pad(zero_padding(x, x_len), (0, 0, 0, missing)).unflatten(1, (-1, ratio)).sum(dim=2)
    count = frame_mask(x_len, x.shape[1] + missing).unflatten(1, (-1, ratio)).sum(dim=2)
    return sums / count.clamp_min(1).unsqueeze(-1)


def _ratio(slowest: int, rate: int) -> int:
    """Number of frames at ``rate`` in one frame at ``slowest``."""
    if slowest % rate:
        raise ValueError(
            f"layers of one frame per {rate} samples cannot be brought to one per {slowest}, which is not a multiple:"
            " select layers of one kind with build_featurizer.layer_selections"
        )
    return slowest // rate


def _select(selections: int | list[int] | str | None, num_layers: int) -> list[int]:
    """Indices of the selected layers, counted from 0.

    Raises:
        ValueError: a selection that names no layer, a layer that does not exist, or one layer twice.
    """
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
            f"layer_selections {list(selections)} names a layer twice (counted from 0: {layers}); name each once"
        )
    return layers


def _common(values: Sequence[int], layers: list[int], what: str) -> int:
    """The value that the selected layers share.

    Raises:
        ValueError: they differ.
    """
    distinct = {values[i] for i in layers}
    if len(distinct) > 1:
        raise ValueError(
            f"the selected layers have different {what}, {[values[i] for i in layers]}, and cannot be "
            f"summed; select layers of one kind with layer_selections (the upstream has {list(values)})"
        )
    return distinct.pop()
