"""Waveform augmentation.

All randomness comes from torch's generator, which the loader seeds for each utterance by (seed, epoch, id). A resumed
training therefore sees the same waveforms.
"""

from __future__ import annotations

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

    def __call__(self, wav: torch.Tensor) -> torch.Tensor:
        """(T,) -> (T',)."""
        for step in self.steps:
            wav = step(wav)
        return wav


class SpeedPerturb:
    """Change the speed, and so tempo and pitch, by a random factor (Ko et al., Interspeech 2015).

    Args:
        speeds: factors to draw from; 0.9 is slower and lower, 1.1 faster and higher, 1.0 keeps the samples as they are.
    """

    def __init__(self, speeds: Sequence[float]):
        if not speeds or any(not 0.5 <= speed <= 2 for speed in speeds):
            raise ValueError(f"speeds are {list(speeds)}; expected at least one, each between 0.5 and 2")
        self.speeds = list(speeds)

    @property
    def num_variants(self) -> int:
        """The number of speeds."""
        return len(self.speeds)

    def draw(self) -> int:
        """The number of a random speed."""
        return int(torch.randint(len(self.speeds), ()))

    def __call__(self, wav: torch.Tensor) -> torch.Tensor:
        """(T,) -> (ceil(T / speed),)."""
        return self.apply(wav, self.draw())

    def apply(self, wav: torch.Tensor, number: int) -> torch.Tensor:
        """(T,) -> (ceil(T / speed),), at the speed of that number."""
        from torchaudio.functional import resample

        speed = self.speeds[number]
        if speed == 1 or len(wav) == 0:
            return wav
        ratio = Fraction(speed).limit_denominator(100)  # a small fraction keeps the filter small
        return resample(wav, ratio.numerator, ratio.denominator)


def build_augmentation(settings: Mapping[str, Any]) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """Build the augmentation of a training set from the section ``build_dataset``; None if every step is off."""
    steps: list[Callable[[torch.Tensor], torch.Tensor]] = []
    if settings["speeds"] != [1.0]:
        steps.append(SpeedPerturb(settings["speeds"]))
    if settings.get("max_seconds") is not None:
        steps.append(RandomCrop(settings["max_seconds"]))
    if len(steps) == 1:
        return steps[0]  # alone, it may offer its variants
    return Chain(steps) if steps else None
