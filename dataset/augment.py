"""Waveform augmentation.

All randomness comes from torch's generator, which the loader seeds for each utterance by (seed, epoch, id). A resumed
training therefore sees the same waveforms.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import torch

from dataset import SAMPLE_RATE


class RandomCrop:
    """Crop a random piece of an utterance; one that is not longer than the piece is kept whole.

    Args:
        seconds: length of the piece.
    """

    def __init__(self, seconds: float):
        self.samples = round(seconds * SAMPLE_RATE)
        if self.samples < 1:
            raise ValueError(f"a crop of {seconds} s has no sample; expected at least {1 / SAMPLE_RATE:g} s")

    def __call__(self, wav: torch.Tensor) -> torch.Tensor:
        """(T,) -> (min(T, samples),)."""
        if len(wav) <= self.samples:
            return wav
        start = int(torch.randint(len(wav) - self.samples + 1, ()))
        return wav[start : start + self.samples]


class Chain:
    """Apply several augmentations in turn.

    Args:
        steps: functions from a waveform (T,) to another.
    """

    def __init__(self, steps: Sequence[Callable[[torch.Tensor], torch.Tensor]]):
        self.steps = list(steps)

    @property
    def num_variants(self) -> int | None:
        """The number of waveforms that one may become; None if a step gives any number of them."""
        numbers = [getattr(step, "num_variants", None) for step in self.steps]
        return None if None in numbers else math.prod(numbers)

    def draw(self) -> int:
        """The number of a random variant, drawn step by step."""
        variant = 0
        for step in self.steps:
            variant = variant * step.num_variants + step.draw()
        return variant

    def apply(self, wav: torch.Tensor, number: int) -> torch.Tensor:
        """(T,) -> (T',), the variant of that number."""
        numbers = []
        for step in reversed(self.steps):
            number, own = divmod(number, step.num_variants)
            numbers.append(own)
        for step, own in zip(self.steps, reversed(numbers)):
            wav = step.apply(wav, own)
        return wav

    def __call__(self, wav: torch.Tensor) -> torch.Tensor:
        """(T,) -> (T',)."""
        for step in self.steps:
            wav = step(wav)
        return wav


class Choice(abc.ABC):
    """An augmentation that draws one of a few values."""

    values: Sequence[float]

    @property
    def num_variants(self) -> int:
        """The number of values."""
        return len(self.values)

    def draw(self) -> int:
        """The number of a random value."""
        return int(torch.randint(len(self.values), ()))

    def __call__(self, wav: torch.Tensor) -> torch.Tensor:
        """(T,) -> (T',), with a random value."""
        return self.apply(wav, self.draw())

    @abc.abstractmethod
    def apply(self, wav: torch.Tensor, number: int) -> torch.Tensor:
        """(T,) -> (T',), with the value of that number."""


class SpeedPerturb(Choice):
    """Change the speed, and so tempo and pitch, by a random factor (Ko et al., Interspeech 2015).

    Args:
        speeds: factors to draw from; 0.9 is slower and lower, 1.1 faster and higher, 1.0 keeps the samples as they are.
    """

    def __init__(self, speeds: Sequence[float]):
        if not speeds or any(not 0.5 <= speed <= 2 for speed in speeds):
            raise ValueError(f"speeds are {list(speeds)}; expected at least one, each between 0.5 and 2")
        self.values = list(speeds)

    def apply(self, wav: torch.Tensor, number: int) -> torch.Tensor:
        """(T,) -> (ceil(T / speed),)."""
        from torchaudio.functional import resample

        speed = self.values[number]
        if speed == 1 or len(wav) == 0:
            return wav
        ratio = Fraction(speed).limit_denominator(100)  # a small fraction keeps the filter small
        return resample(wav, ratio.numerator, ratio.denominator)


class BandLimit(Choice):
    """Remove all above a random frequency, as a lower sample rate does: 4000 Hz is the band of a telephone.

    Args:
        limits: frequencies in Hz to draw from; 8000 or more keeps the samples as they are.
    """

    def __init__(self, limits: Sequence[float]):
        if not limits or any(limit < 500 for limit in limits):
            raise ValueError(f"band_limits are {list(limits)}; expected at least one, each of 500 Hz or more")
        self.values = list(limits)

    def apply(self, wav: torch.Tensor, number: int) -> torch.Tensor:
        """(T,) -> (T,)."""
        from torchaudio.functional import resample

        rate = 100 * round(2 * self.values[number] / 100)  # round, so that the filter stays small
        if rate >= SAMPLE_RATE or len(wav) == 0:
            return wav
        return resample(resample(wav, SAMPLE_RATE, rate), rate, SAMPLE_RATE)[: len(wav)]


def build_augmentation(settings: Mapping[str, Any]) -> Chain | None:
    """Build the augmentation of a training set from the section ``build_dataset``; None if every step is off."""
    steps: list[Callable[[torch.Tensor], torch.Tensor]] = []
    if settings["speeds"] != [1.0]:
        steps.append(SpeedPerturb(settings["speeds"]))
    if settings.get("band_limits"):
        steps.append(BandLimit(settings["band_limits"]))
    if settings.get("max_seconds") is not None:
        steps.append(RandomCrop(settings["max_seconds"]))
    return Chain(steps) if steps else None
