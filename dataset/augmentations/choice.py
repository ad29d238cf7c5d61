"""Augmentations that draw one of a few values, so that features of each can be kept."""

from __future__ import annotations

import abc
from collections.abc import Sequence

import torch


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
