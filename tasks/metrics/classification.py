"""Metrics of labels over a whole data set. None depends on the order of the utterances."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from sklearn import metrics

BINS = 15  # of confidence, as in Guo et al., "On calibration of modern neural networks", ICML 2017


def require_finite(ids: Sequence[str], scores: Sequence[float] | np.ndarray) -> None:
    """Raise ValueError with an id unless all scores, (N,) or (N, C), are finite."""
    finite = np.isfinite(np.asarray(scores, dtype=np.float64)).reshape(len(ids), -1).all(axis=1)
    if not finite.all():
        first = min(id for id, good in zip(ids, finite) if not good)
        raise ValueError(
            f"the scores of {np.count_nonzero(~finite)} of {len(ids)} utterances are not finite; one is {first!r}: "
            "look at its audio, and at the loss in training"
        )


def accuracy(correct: Sequence[bool]) -> float:
    """The fraction of true values."""
    return sum(map(bool, correct)) / len(correct)


def macro_f1(references: Sequence[str], hypotheses: Sequence[str]) -> float:
    """The mean F1 of the labels that occur among references or hypotheses, every label alike (by scikit-learn)."""
    return float(metrics.f1_score(references, hypotheses, average="macro", zero_division=0))


def unweighted_average_recall(references: Sequence[str], hypotheses: Sequence[str]) -> float:
    """The mean recall of the labels that occur among the references, every label alike (by scikit-learn)."""
    present = sorted(set(references))
    return float(metrics.recall_score(references, hypotheses, labels=present, average="macro", zero_division=0))


def confusion_matrix(references: Sequence[str], hypotheses: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """The labels that occur, sorted, and how often each reference (row) became each hypothesis (column)."""
    labels = sorted(set(references) | set(hypotheses))
    return labels, metrics.confusion_matrix(references, hypotheses, labels=labels)


def calibration_error(confidences: Sequence[float], correct: Sequence[bool], bins: int = BINS) -> float:
    """Expected calibration error: |accuracy - mean confidence| of each bin, weighted by its utterances.

    Naeini et al., AAAI 2015. Bins of equal width; a confidence on an edge belongs to the bin below.
    """
    groups: dict[int, list[tuple[float, bool]]] = {}
    for confidence, right in zip(confidences, correct):
        groups.setdefault(max(0, math.ceil(confidence * bins) - 1), []).append((confidence, right))
    gaps = (abs(sum(right for _, right in g) - math.fsum(c for c, _ in g)) for g in groups.values())
    return math.fsum(gaps) / len(confidences)


def mean_average_precision(references: np.ndarray, scores: np.ndarray) -> float:
    """The mean over labels of the average precision (by scikit-learn); labels without any true utterance do not count.

    Args:
        references: bool (N, C). scores: float (N, C).
    """
    columns = [c for c in range(references.shape[1]) if references[:, c].any()]
    if not columns:
        return math.nan
    found = (metrics.average_precision_score(references[:, c], scores[:, c]) for c in columns)
    return math.fsum(found) / len(columns)


def balanced_weights(labels: Iterable[str]) -> dict[str, float]:
    """The weight of each label that gives all of them the same part in a loss: N / (labels * occurrences).

    The mean weight of the N utterances is one.
    """
    counts = Counter(labels)
    total = sum(counts.values())
    return {label: total / (len(counts) * count) for label, count in sorted(counts.items())}
