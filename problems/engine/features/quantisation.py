"""States in 8 bits: for each utterance, layer and feature an offset and a step of its own.

A feature's values over an utterance's frames are rounded to 255 evenly spaced ones from its least to its greatest. So a
feature with an offset or a scale far from the others', as encoders have, costs the others no precision. The offsets and
steps, float32, are the first eight rows of the packed state.

Notation: T frames, H features.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

HEAD = 8
"""Rows of a packed state before its frames: four bytes of a feature's offset, and four of its step."""
LEVELS = 127
LARGEST = torch.finfo(torch.float16).max


def pack(state: torch.Tensor) -> torch.Tensor:
    """Return (T, H) float as int8 (T + 8, H); (0, H) stays empty.

    Raises:
        ValueError: a value is not finite, or beyond float16, to which :func:`unpack` returns.
    """
    if not len(state):
        return torch.zeros_like(state, dtype=torch.int8)
    low, high = state.float().amin(dim=0), state.float().amax(dim=0)
    if not bool((torch.maximum(-low, high) <= LARGEST).all()):  # false for NaN too
        raise ValueError(f"the upstream gives values beyond {LARGEST:g}, or that are not numbers")
    offset, step = (low + high) / 2, (high - low) / (2 * LEVELS)
    frames = ((state.float() - offset) / step.clamp_min(torch.finfo(torch.float32).tiny)).round_()
    head = torch.stack([offset, step]).view(torch.int8).view(2, -1, 4).transpose(1, 2).reshape(HEAD, -1)
    return torch.cat([head, frames.clamp_(-LEVELS, LEVELS).to(torch.int8)])


def unpack(packed: torch.Tensor) -> torch.Tensor:
    """Return int8 (T + 8, H) as float16 (T, H)."""
    if not len(packed):
        return packed.half()
    offset, step = _head(packed)
    return torch.addcmul(offset, packed[HEAD:].float(), step).half()


def _head(packed: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The offset (H,) and the step (H,) of each feature."""
    head = packed[:HEAD].view(2, 4, -1).transpose(1, 2).contiguous().view(torch.float32).squeeze(-1)
    return head[0], head[1]


@dataclass
class LayerErrors:
    """The expected rounding error of states, by layer: a step has a variance of step ** 2 / 12.

    Relative to the deviation of each feature over the frames of an utterance.
    """

    squared_error: list[float] = field(default_factory=list)
    squared_value: list[float] = field(default_factory=list)

    def add(self, states: Sequence[torch.Tensor]) -> None:
        """Take the packed states of an utterance, one a layer."""
        if not self.squared_error:
            self.squared_error, self.squared_value = [0.0] * len(states), [0.0] * len(states)
        for layer, packed in enumerate(states):
            if len(packed):
                _, step = _head(packed)
                frames = packed[HEAD:].float()
                deviations = (frames - frames.mean(dim=0)) * step
                self.squared_error[layer] += float(step.double().square().sum()) * len(frames) / 12
                self.squared_value[layer] += float(deviations.double().square().sum())

    def relative(self) -> list[float]:
        """The root of the mean squared error of each layer, relative to the deviation of its values."""
        return [math.sqrt(e / v) if v > 0 else 0.0 for e, v in zip(self.squared_error, self.squared_value)]
