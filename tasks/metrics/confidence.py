"""Confidence of words: posteriors among texts, calibration by logistic regression, and the words that are right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from rapidfuzz.distance import Levenshtein

LIMIT = 1e-6
STEPS = 100


class ConfidenceCalibration(NamedTuple):
    """A map of confidences in [0, 1]: the log odds times ``scale``, plus ``offset`` (Platt 1999)."""

    scale: float
    offset: float

    def __call__(self, confidences: Sequence[float] | np.ndarray) -> np.ndarray:
        """float (N,) -> float64 (N,)."""
        return 1 / (1 + np.exp(-(self.scale * log_odds(confidences) + self.offset)))


def log_odds(confidences: Sequence[float] | np.ndarray) -> np.ndarray:
    """The log odds of confidences, which are first kept off 0 and 1 by a millionth."""
    clipped = np.clip(np.asarray(confidences, dtype=np.float64), LIMIT, 1 - LIMIT)
    return np.log(clipped / (1 - clipped))


def learn_confidence(confidences: Sequence[float], right: Sequence[bool]) -> ConfidenceCalibration | None:
    """Fit a calibration to words of known correctness; None if all are right, or all wrong.

    Logistic regression by Newton's method, written by hand since importing scikit-learn takes 0.7 s of a training's
    first validation. A penalty of a thousandth on the squared parameters' distance from the identity keeps them finite.
    The result does not depend on the order of the words.
    """
    if len(set(right)) < 2:
        return None
    order = np.lexsort((np.asarray(right), np.asarray(confidences)))
    x = log_odds(np.asarray(confidences)[order])
    y = np.asarray(right, dtype=np.float64)[order]
    features, identity = np.stack([x, np.ones_like(x)], axis=1), np.array([1.0, 0.0])
    parameters = identity.copy()
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-features @ parameters))
        gradient = features.T @ (p - y) + 1e-3 * (parameters - identity)
        curvature = (features * (p * (1 - p))[:, None]).T @ features + 1e-3 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        parameters = parameters - step * min(1.0, 2.0 / np.abs(step).max()) if step.any() else parameters
        if np.abs(step).max() < 1e-10:
            break
    return ConfidenceCalibration(float(parameters[0]), float(parameters[1]))


def word_posteriors(texts: Sequence[tuple[Sequence[str], float]]) -> list[float]:
    """The posterior of each word of the first text, in [0, 1], among the texts that a search has kept.

    A text has the share exp(score) of the sum over all texts. The posterior of a word is the sum of the shares of the
    texts that have the same word in its place, by an alignment with fewest errors (Wessel et al., "Confidence measures
    for large vocabulary continuous speech recognition", IEEE Transactions on Speech and Audio Processing, 2001).

    Args:
        texts: the words of each, and its score: a natural logarithm, up to a constant.
    """
    best, highest = list(texts[0][0]), max(score for _, score in texts)
    shares = [math.exp(score - highest) for _, score in texts]
    agreeing: list[list[float]] = [[] for _ in best]
    for (words, _), share in zip(texts, shares):
        for tag, start, end, *_ in Levenshtein.opcodes(best, list(words)):
            for place in range(start, end) if tag == "equal" else ():
                agreeing[place].append(share)
    return [min(1.0, math.fsum(own) / math.fsum(shares)) for own in agreeing]


def right_words(reference: str, hypothesis: Sequence[str]) -> list[bool]:
    """Return True for each word of the hypothesis that the reference has too, aligned with fewest errors."""
    right = [False] * len(hypothesis)
    for tag, _, _, start, end in Levenshtein.opcodes(reference.split(), list(hypothesis)):
        if tag == "equal":
            right[start:end] = [True] * (end - start)
    return right
