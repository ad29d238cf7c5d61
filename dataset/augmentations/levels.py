"""Levels of waveforms: ranges in dB, and sums at a ratio of powers."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def range_of(bounds: Sequence[float], name: str, unit: str = "dB") -> tuple[float, float]:
    """A range from the least to the greatest value.

    Raises:
        ValueError: it is none.
    """
    if len(bounds) != 2 or bounds[0] > bounds[1]:
        raise ValueError(f"{name} is {list(bounds)}; expected [least, greatest] in {unit}")
    return float(bounds[0]), float(bounds[1])


def drawn_between(bounds: tuple[float, float]) -> float:
    """A number from a range, drawn uniformly."""
    return bounds[0] + (bounds[1] - bounds[0]) * float(torch.rand(()))


def add_at_ratio(wav: torch.Tensor, noise: torch.Tensor, ratio: float) -> torch.Tensor:
    """Add noise whose power over the utterance is below the speech's by ``ratio`` dB: (T,), (T,) -> (T,).

    Digital silence on either side leaves the utterance as it is.
    """
    powers = [float(x.double().square().mean()) for x in (wav, noise)]
    if min(powers) == 0:
        return wav
    return wav + (noise * (powers[0] / powers[1] / 10 ** (ratio / 10)) ** 0.5).to(wav.dtype)
