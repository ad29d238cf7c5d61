"""Classification metrics over a whole data set; none depends on the order of the utterances."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

BINS = 15  # of confidence, as in Guo et al., "On calibration of modern neural networks", ICML 2017


def require_finite(ids: Sequence[str], scores: Sequence[float] | np.ndarray) -> None:
    """Raise ValueError with an id unless all scores, (N,) or (N, C), are finite."""
    is_finite = np.isfinite(np.asarray(scores, dtype=np.float64)).reshape(len(ids), -1).all(axis=1)
    if not is_finite.all():
        first = min(id for id, good in zip(ids, is_finite) if not good)
        raise ValueError(
            f"the scores of {np.count_nonzero(~is_finite)} of {len(ids)} utterances are not finite, such as those of"
            f" {first!r}: check its audio, and the loss in training"
        )


def accuracy(correct: Sequence[bool]) -> float:
    """The fraction of true values."""
    return sum(map(bool, correct)) / len(correct)


def macro_f1(references: Sequence[str], hypotheses: Sequence[str]) -> float:
    """The unweighted mean F1 of the labels that occur among references or hypotheses."""
    hits, sizes, predicted = _counts(references, hypotheses)
    return float(np.mean(2 * hits / (sizes + predicted)))


def unweighted_average_recall(references: Sequence[str], hypotheses: Sequence[str]) -> float:
    """The unweighted mean recall of the labels that occur among the references."""
    hits, sizes, _ = _counts(references, hypotheses)
    present = sizes > 0
    return float(np.mean(hits[present] / sizes[present]))


def _counts(references: Sequence[str], hypotheses: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each label that occurs, in order: right predictions, utterances that have it, and predictions of it.

    Written by hand, since importing scikit-learn takes 0.7 s of a process's start.
    """
    labels, codes = np.unique([*references, *hypotheses], return_inverse=True)
    reference, hypothesis = np.split(codes, 2)
    hits = reference[reference == hypothesis]
    return tuple(np.bincount(c, minlength=len(labels)) for c in (hits, reference, hypothesis))


def calibration_error(confidences: Sequence[float], correct: Sequence[bool], bins: int = BINS) -> float:
    """Expected calibration error: |accuracy - mean confidence| of each bin, weighted by its utterances.

    Naeini et al., AAAI 2015. Bins of equal width; a confidence on an edge belongs to the bin below.
    """
    groups: dict[int, list[tuple[float, bool]]] = {}
    for confidence, is_correct in zip(confidences, correct):
        groups.setdefault(max(0, math.ceil(confidence * bins) - 1), []).append((confidence, is_correct))
    gaps = (abs(sum(right for _, right in g) - math.fsum(c for c, _ in g)) for g in groups.values())
    return math.fsum(gaps) / len(confidences)


def mean_average_precision(references: np.ndarray, scores: np.ndarray) -> float:
    """The mean over labels of the average precision (by scikit-learn), without labels that no utterance has.

    Args:
        references: bool (N, C). scores: float (N, C).
    """
    from sklearn.metrics import average_precision_score  # slow to import

    columns = [c for c in range(references.shape[1]) if references[:, c].any()]
    if not columns:
        return math.nan
    precisions = (average_precision_score(references[:, c], scores[:, c]) for c in columns)
    return math.fsum(precisions) / len(columns)
