"""Confidence of words: calibration by logistic regression, and the right words among those that are recognised."""

from __future__ import annotations

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


def right_words(reference: str, hypothesis: Sequence[str]) -> list[bool]:
    """Return True for each word of the hypothesis that the reference has too, aligned with fewest errors."""
    right = [False] * len(hypothesis)
    for tag, _, _, start, end in Levenshtein.opcodes(reference.split(), list(hypothesis)):
        if tag == "equal":
            right[start:end] = [True] * (end - start)
    return right
