"""Several augmentations in turn, and one that is applied to a part of the utterances."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch

from dataset.augmentations.timing import Timing, augmented, moves_time

Augmentation = Callable[[torch.Tensor], torch.Tensor]
"""From a waveform (T,) to another."""


class Chain:
    """Apply several augmentations in turn.

    Args:
        steps: functions from a waveform (T,) to another.
    """

    def __init__(self, steps: Sequence[Augmentation]):
        self.steps = list(steps)

    @property
    def sets(self) -> set[str]:
        """The sets of which only some steps are."""
        return {name for step in self.steps if isinstance(step, OfSets) for name in step.sets}

    def of_set(self, name: str) -> Chain:
        """The steps for the utterances of a set."""
        own = (step for step in self.steps if not isinstance(step, OfSets) or name in step.sets)
        return Chain([step.step if isinstance(step, OfSets) else step for step in own])

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

    @property
    def moves_time(self) -> bool:
        """True if a step may move sounds in time."""
        return any(moves_time(step) for step in self.steps)

    def timed(self, wav: torch.Tensor) -> tuple[torch.Tensor, list[Timing]]:
        """(T,) -> (T',), and what the steps did to time."""
        timings: list[Timing] = []
        for step in self.steps:
            wav, own = augmented(step, wav)
            timings += own
        return wav, timings


class OfSets:
    """A step for the utterances of some sets only, which :meth:`Chain.of_set` chooses.

    Args:
        step: from a waveform (T,) to another.
        sets: values of the column ``corpus``.
    """

    def __init__(self, step: Augmentation, sets: Sequence[str]):
        self.step, self.sets = step, tuple(sets)

    @property
    def moves_time(self) -> bool:
        """True if it may move sounds in time."""
        return moves_time(self.step)


class Sometimes:
    """Apply an augmentation to a part of the utterances.

    Args:
        step: from a waveform (T,) to another.
        prob: the probability of it.
    """

    def __init__(self, step: Augmentation, prob: float):
        if not 0 <= prob <= 1:
            raise ValueError(f"prob is {prob}; expected from 0 to 1")
        self.step, self.prob = step, prob

    def __call__(self, wav: torch.Tensor) -> torch.Tensor:
        """(T,) -> (T',)."""
        return self.step(wav) if self._is_drawn() else wav

    @property
    def moves_time(self) -> bool:
        """True if it may move sounds in time."""
        return moves_time(self.step)

    def timed(self, wav: torch.Tensor) -> tuple[torch.Tensor, list[Timing]]:
        """(T,) -> (T',), and what that did to time."""
        return augmented(self.step, wav) if self._is_drawn() else (wav, [])

    def _is_drawn(self) -> bool:
        return float(torch.rand(())) < self.prob
