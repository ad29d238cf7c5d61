"""Results that are labels with their probabilities."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks import SEPARATOR
from tasks.results.result import Result, mean


@dataclass
class Label(Result):
    """A label, its probability, and that of each label, the likeliest first."""

    label: str
    probability: float
    probabilities: dict[str, float]

    def __str__(self) -> str:
        return self.label

    def top(self, k: int) -> list[tuple[str, float]]:
        """The ``k`` likeliest labels with their probabilities."""
        return list(self.probabilities.items())[:k]

    @classmethod
    def of(cls, probabilities: Mapping[str, float]) -> Label:
        """The likeliest label; of equal ones the first."""
        ranked = dict(sorted(probabilities.items(), key=lambda item: -item[1]))
        label = next(iter(ranked))
        return cls(label, ranked[label], ranked)

    @classmethod
    def joined(cls, pieces: Sequence[tuple[float, float, Label]]) -> Label:
        """The mean of the probabilities, each piece weighted by its length."""
        return pieces[0][2] if len(pieces) == 1 else cls.of(mean([(s, own.probabilities) for _, s, own in pieces]))


@dataclass
class LabelsOfSlots(Result):
    """A label for each slot, and the probability that all are right if they are independent."""

    slots: dict[str, Label]

    def __str__(self) -> str:
        return SEPARATOR.join(label.label for label in self.slots.values())

    @property
    def probability(self) -> float:
        """The product of the labels' probabilities."""
        return math.prod(label.probability for label in self.slots.values())

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON."""
        slots = {name: {"label": own.label, "probability": own.probability} for name, own in self.slots.items()}
        return {**super().to_dict(), "label": str(self), "probability": self.probability, "slots": slots}

    @classmethod
    def joined(cls, pieces: Sequence[tuple[float, float, LabelsOfSlots]]) -> LabelsOfSlots:
        """The mean of the probabilities of each slot, each piece weighted by its length."""
        names = pieces[0][2].slots
        return cls({name: Label.joined([(t, s, own.slots[name]) for t, s, own in pieces]) for name in names})


@dataclass
class Tags(Result):
    """The labels whose probability is above ``threshold``, and the probability of each label."""

    labels: list[str]
    probabilities: dict[str, float]
    threshold: float

    def __str__(self) -> str:
        return SEPARATOR.join(self.labels)

    @classmethod
    def of(cls, probabilities: Mapping[str, float], threshold: float) -> Tags:
        """The labels above a threshold, in the order of ``probabilities``."""
        return cls([name for name, p in probabilities.items() if p > threshold], dict(probabilities), threshold)

    @classmethod
    def joined(cls, pieces: Sequence[tuple[float, float, Tags]]) -> Tags:
        """The mean of the probabilities, each piece weighted by its length."""
        if len(pieces) == 1:
            return pieces[0][2]
        return cls.of(mean([(s, own.probabilities) for _, s, own in pieces]), pieces[0][2].threshold)
