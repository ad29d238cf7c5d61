"""What may happen to a waveform before training sees it. All of it is drawn from torch's generator.

The loader seeds that generator for each utterance by (seed, epoch, id), so that a resumed training hears the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import torch


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
