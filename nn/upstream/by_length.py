"""Encoders of others that say nothing about padding: utterances of one length at a time, and their frames measured.

Notation: B utterances, T samples, T' frames, H features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

SECONDS_2 = 32000
CHECKED = (16000, 20001, 48000)
"""Lengths at which a measured rule is checked."""


@dataclass(frozen=True)
class FrameRule:
    """The frames of n samples: (n + offset) // stride, and none below ``minimum`` samples."""

    stride: int
    offset: int
    minimum: int

    def frames(self, samples: Tensor) -> Tensor:
        """Frames of utterances of so many samples, (B,) int64 each."""
        frames = torch.div(samples + self.offset, self.stride, rounding_mode="floor")
        return torch.where(samples < self.minimum, 0, frames.clamp_min(0))


def measured(count: Callable[[int], int]) -> FrameRule:
    """The rule of an encoder, from the lengths at which it gives another frame.

    Args:
        count: the frames of so many samples; it may raise for few.

    Raises:
        ValueError: the frames do not follow such a rule.
    """
    first = _next_step(count, SECONDS_2)
    second = _next_step(count, first)
    stride = second - first
    offset = count(first) * stride - first
    rule = FrameRule(stride, offset, _fewest(count, max(1, stride - offset)))
    for samples in CHECKED:
        got, expected = count(samples), int(rule.frames(torch.tensor(samples)))
        if got != expected:
            raise ValueError(
                f"{samples} samples have {got} frames, but ({samples} + {offset}) // {stride} = {expected} by those of"
                f" {first} and {second}: expected evenly spaced frames"
            )
    return rule


def _next_step(count: Callable[[int], int], samples: int) -> int:
    """The fewest samples with more frames than ``samples`` have."""
    frames, low, width = count(samples), samples, 16
    while count(low + width) <= frames:
        low, width = low + width, width * 2
        if width > 2 * SECONDS_2:
            raise ValueError(f"{low} samples have as few frames as {samples}: expected a frame at least every 2 s")
    high = low + width
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if count(middle) > frames else (middle, high)
    return high


def _fewest(count: Callable[[int], int], samples: int) -> int:
    """At least ``samples``, more if the encoder refuses so few."""
    while samples < SECONDS_2:
        try:
            if count(samples) >= 1:
                return samples
        except (RuntimeError, ValueError, IndexError, AssertionError):
            pass
        samples *= 2
    return samples


def by_length(wav: Tensor, wav_len: Tensor, encode: Callable[[Tensor], list[Tensor]]) -> list[Tensor]:
    """The states of a batch, from those of utterances of one length at a time, so that there is no padding.

    Args:
        wav: (B, T).
        wav_len: (B,) int64, each at least what ``encode`` takes and at most T.
        encode: (b, n) -> states (b, T', H), one a layer.

    Returns:
        states (B, longest T', H), zero in padding.
    """
    rows: list[list[Tensor]] = [[]] * len(wav)
    for length in wav_len.unique().tolist():
        same = (wav_len == length).nonzero().flatten().tolist()
        states = encode(wav[same, :length])
        for place, row in enumerate(same):
            rows[row] = [state[place] for state in states]
    layers = []
    for layer in zip(*rows):
        longest = max(1, max(len(state) for state in layer))
        layers.append(torch.stack([pad(state, (0, 0, 0, longest - len(state))) for state in layer]))
    return layers
