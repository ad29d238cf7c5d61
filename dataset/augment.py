"""What may happen to a waveform before training sees it. All of it is drawn from torch's generator.

The loader seeds that generator for each utterance by (seed, epoch, id), so that a resumed training hears the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

import torch

from dataset import SAMPLE_RATE


class RandomCrop:
    """A piece of a longer utterance, its place drawn anew at each access; a shorter one stays whole.

    Args:
        seconds: length of the piece.
    """

    def __init__(self, seconds: float):
        self.samples = round(seconds * SAMPLE_RATE)
        if self.samples < 1:
            raise ValueError(f"a piece of {seconds} s has no sample: expected more than {1 / SAMPLE_RATE:g} s")

    def __call__(self, wav: torch.Tensor) -> torch.Tensor:
        """(T,) -> (min(T, samples),)."""
        if len(wav) <= self.samples:
            return wav
        start = int(torch.randint(len(wav) - self.samples + 1, ()))
        return wav[start : start + self.samples]


class Chain:
    """One change after the other.

    Args:
        steps: from a waveform (T,) to another.
    """

    def __init__(self, steps: Sequence[Callable[[torch.Tensor], torch.Tensor]]):
        self.steps = list(steps)

    def __call__(self, wav: torch.Tensor) -> torch.Tensor:
        """(T,) -> (T',)."""
        for step in self.steps:
            wav = step(wav)
        return wav


class SpeedPerturb:
    """Play an utterance at a speed drawn evenly from ``speeds`` (Ko et al., Interspeech 2015): tempo and pitch change.

    Args:
        speeds: 0.9 is slower and lower, 1.1 faster and higher; 1.0 leaves the samples as they are.
    """

    def __init__(self, speeds: Sequence[float]):
        if not speeds or any(not 0.5 <= speed <= 2 for speed in speeds):
            raise ValueError(f"speeds are {list(speeds)}: expected some, each between 0.5 and 2")
        self.speeds = list(speeds)

    def __call__(self, wav: torch.Tensor) -> torch.Tensor:
        """(T,) -> (ceil(T / speed),)."""
        from torchaudio.functional import resample

        speed = self.speeds[int(torch.randint(len(self.speeds), ()))]
        if speed == 1 or len(wav) == 0:
            return wav
        ratio = Fraction(speed).limit_denominator(100)  # small numbers keep the filter small
        return resample(wav, ratio.numerator, ratio.denominator)
