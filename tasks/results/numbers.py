"""Results that are numbers: embeddings, scores of verification, estimates."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.results.result import Result, mean


@dataclass
class Embedding(Result):
    """An embedding of the whole recording."""

    vector: list[float]

    def __str__(self) -> str:
        return json.dumps(self.vector)

    @classmethod
    def joined(cls, pieces: Sequence[tuple[float, float, Embedding]]) -> Embedding:
        """The mean of the vectors, each piece weighted by its length."""
        if len(pieces) == 1:
            return pieces[0][2]
        numbered = [(s, dict(enumerate(own.vector))) for _, s, own in pieces]
        return cls(list(mean(numbered).values()))


@dataclass
class Verification(Result):
    """The score of a recording against an enrolment.

    Args:
        score: the higher, the likelier the same speaker.
        probability: that the speaker is the same, if half of all pairs are; None without a validation.
        same: the decision at the threshold of the validation; None without one.
    """

    score: float
    probability: float | None
    same: bool | None

    joinable = False

    def __str__(self) -> str:
        verdict = {True: "\tsame", False: "\tdifferent", None: ""}[self.same]
        return f"{self.score:.4f}{verdict}"


@dataclass
class Estimate(Result):
    """A number."""

    value: float

    def __str__(self) -> str:
        return f"{self.value:g}"

    @classmethod
    def joined(cls, pieces: Sequence[tuple[float, float, Estimate]]) -> Estimate:
        """The mean of the numbers, each piece weighted by its length."""
        return pieces[0][2] if len(pieces) == 1 else cls(mean([(s, {0: own.value}) for _, s, own in pieces])[0])
