"""The bootstrap: metrics over resampled utterances, speakers or recordings, and their intervals.

Utterances of one speaker are not independent, so whole speakers are drawn (Liu and Peng, "Statistical testing on ASR
performance via blockwise bootstrap", arXiv 1912.09508). A draw is a row of weights: how often each utterance counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

CELLS = 2**24  # weights at a time
LEVEL = 0.95
POWER_FACTOR = 1.96 + 0.84
"""Standard errors that a difference must have to be seen at the 5 % level in 80 % of tests."""


def unit_codes(units: Sequence[str]) -> np.ndarray:
    """The number of the unit of each utterance, int (N,)."""
    return np.unique(np.asarray(units, dtype=object), return_inverse=True)[1].reshape(-1)


def draws(codes: np.ndarray, resamples: int, seed: int = 0, width: int = 0) -> Iterator[np.ndarray]:
    """Yield blocks of weights, float64 (R, N), ``resamples`` rows in all. Units are drawn with replacement.

    Args:
        codes: the unit of each of N utterances, from 0.
        seed: the same one gives the same draws, so that two systems can be compared draw by draw.
        width: what else a row of weights will be spread over, such as the number of trials; blocks are small enough.
    """
    generator, units = np.random.default_rng(seed), int(codes.max()) + 1
    block = max(1, CELLS // max(len(codes), units, width))
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        drawn = generator.integers(0, units, (rows, units)) + units * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * units).reshape(rows, units)
        yield counts[:, codes].astype(np.float64)


def interval(values: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """The percentile interval of resampled values (R,); NaN if too few are finite."""
    finite = values[np.isfinite(values)]
    if len(finite) < len(values) / 2 or not len(finite):
        return math.nan, math.nan
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def resampled(
    measure: Callable[[np.ndarray], dict[str, np.ndarray]],
    codes: np.ndarray,
    resamples: int,
    seed: int = 0,
    width: int = 0,
) -> dict[str, np.ndarray]:
    """The values (R,) of each metric over all draws; ``measure`` takes a block of weights."""
    blocks = [measure(weights) for weights in draws(codes, resamples, seed, width)]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


# ---- metrics over weights (R, N) ----


def ratio(weights: np.ndarray, top: np.ndarray, bottom: np.ndarray | None = None) -> np.ndarray:
    """The weighted sum of ``top`` (N,) over that of ``bottom`` (N,), or over the weights: (R,)."""
    below = weights.sum(axis=1) if bottom is None else weights @ np.asarray(bottom, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (weights @ np.asarray(top, dtype=np.float64)) / below


def averages_over_labels(
    weights: np.ndarray, references: Sequence[str], hypotheses: Sequence[str]
) -> dict[str, np.ndarray]:
    """Macro F1 over the labels that occur in a draw, and unweighted average recall over those of its references."""
    labels, codes = np.unique(np.asarray([*references, *hypotheses], dtype=object), return_inverse=True)
    reference, hypothesis = np.split(codes.reshape(-1), 2)
    sizes, predicted = (_sums(weights, own, len(labels)) for own in (reference, hypothesis))
    hits = _sums(weights * (reference == hypothesis), reference, len(labels))
    return {"macro_f1": _mean_of_ratios(2 * hits, sizes + predicted), "uar": _mean_of_ratios(hits, sizes)}


def _mean_of_ratios(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """The mean over classes of top / bottom, without classes whose bottom is 0: (R, C) each -> (R,)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(bottom > 0, top / bottom, 0.0)
        return ratios.sum(axis=1) / (bottom > 0).sum(axis=1)


def _sums(weights: np.ndarray, codes: np.ndarray, classes: int) -> np.ndarray:
    """The sum of the weights of each class: (R, N), int (N,) -> (R, C)."""
    sums = np.zeros((len(weights), classes))
    for number in range(classes):
        sums[:, number] = weights[:, codes == number].sum(axis=1)
    return sums


def calibration_error(weights: np.ndarray, confidences: np.ndarray, correct: np.ndarray, bins: int) -> np.ndarray:
    """The expected calibration error, as :func:`tasks.metrics.classification.calibration_error`: (R,)."""
    confidences = np.asarray(confidences, dtype=np.float64)
    places = np.maximum(0, np.ceil(confidences * bins).astype(int) - 1)
    gaps = _sums(weights * (np.asarray(correct, dtype=np.float64) - confidences), places, bins)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.abs(gaps).sum(axis=1) / weights.sum(axis=1)


def average_precisions(weights: np.ndarray, references: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Mean average precision over the labels that occur in a draw: (R,).

    Args:
        references: bool (N, C). scores: float (N, C).
    """
    gains, totals = [], []
    for label in range(references.shape[1]):
        order = np.argsort(-scores[:, label], kind="stable")
        sorted_weights, falling = weights[:, order], scores[order, label]
        ends = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)  # of equal scores
        hits = np.cumsum(sorted_weights * references[order, label], axis=1)[:, ends]
        sizes = np.cumsum(sorted_weights, axis=1)[:, ends]
        gained = np.diff(hits, axis=1, prepend=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            precision = np.where(sizes > 0, hits / sizes, 0.0)
        gains.append((gained * precision).sum(axis=1))
        totals.append(hits[:, -1])
    return _mean_of_ratios(np.stack(gains, axis=1), np.stack(totals, axis=1))


def joined(count: int, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The number of the speaker of each of ``count`` utterances, as far as pairs of one speaker tell: int (count,).

    Args:
        one, other: the utterances of each pair, int (P,).
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(one)), (one, other)), shape=(count, count))
    return connected_components(graph, directed=False)[1]


def trial_weights(enrol: np.ndarray, test: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Weights of trials from the weights of their sides: a target trial as its one speaker, others as both.

    Args:
        enrol, test: weights of the sides of each trial, (R, T). targets: bool (T,).
    """
    weights = enrol * test
    weights[:, targets] = np.sqrt(weights[:, targets])
    return weights


class WeightedTrials:
    """Verification metrics over weighted trials, for any number of draws at once.

    Args:
        scores: float (T,). targets: bool (T,).
    """

    def __init__(self, scores: np.ndarray, targets: np.ndarray):
        self.order = np.argsort(scores, kind="stable")
        self.scores, self.targets = np.asarray(scores)[self.order], np.asarray(targets, dtype=bool)[self.order]
        self.firsts = np.flatnonzero(np.append(True, self.scores[1:] != self.scores[:-1]))  # of equal scores

    def rates(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Miss and false alarm rates at each distinct threshold, and above all of them: (R, T), in the trials' order.

        Returns:
            Two arrays (R, K + 1).
        """
        sorted_weights = weights[:, self.order]
        below = []
        for own in (self.targets, ~self.targets):
            sums = np.cumsum(np.where(own, sorted_weights, 0.0), axis=1)
            before = np.concatenate([np.zeros((len(weights), 1)), sums], axis=1)[:, [*self.firsts, -1]]
            with np.errstate(divide="ignore", invalid="ignore"):
                below.append(before / before[:, -1:])
        return below[0], 1 - below[1]

    def eer(self, miss: np.ndarray, false_alarm: np.ndarray) -> np.ndarray:
        """The equal error rate, interpolated between the two operating points around it: (R,)."""
        after = np.argmax(miss >= false_alarm, axis=1)
        rows, before = np.arange(len(miss)), np.maximum(after - 1, 0)
        gap = miss - false_alarm
        rise = gap[rows, after] - gap[rows, before]
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(rise == 0, 0.0, -gap[rows, before] / rise)
        rate = miss[rows, before] + share * (miss[rows, after] - miss[rows, before])
        return np.where(np.isfinite(gap[:, 0]), rate, np.nan)

    @staticmethod
    def min_dcf(miss: np.ndarray, false_alarm: np.ndarray, p_target: float) -> np.ndarray:
        """The lowest normalised detection cost: (R,)."""
        cost = p_target * miss + (1 - p_target) * false_alarm
        return cost.min(axis=1) / min(p_target, 1 - p_target)


def calibrated_rates(
    weights: np.ndarray, ratios: np.ndarray, accepted: np.ndarray, targets: np.ndarray
) -> dict[str, np.ndarray]:
    """Cllr, and the miss and false alarm rates of decisions, over weighted trials (R, T): each (R,).

    Args:
        ratios: natural log likelihood ratios, float (T,).
        accepted: the decisions, bool (T,).
        targets: bool (T,).
    """
    costs = np.logaddexp(0, np.where(targets, -ratios, ratios)) / math.log(2)
    ours, others = weights * targets, weights * ~targets
    return {
        "cllr": (ratio(ours, costs) + ratio(others, costs)) / 2,
        "miss": ratio(ours, ~accepted),
        "false_alarm": ratio(others, accepted),
    }


# ---- two systems ----


def difference(one: np.ndarray, other: np.ndarray, drawn: np.ndarray) -> dict[str, float]:
    """A paired comparison of two systems.

    Args:
        one, other: the metric of each system; ``drawn``: their differences over the draws, (R,).

    Returns:
        ``difference`` (other - one), its interval ``low`` and ``high``, ``p`` (two-sided, from the share of draws
        on the other side of zero), and ``detectable``, the smallest difference that such a test set shows in 80 %
        of cases.
    """
    finite = drawn[np.isfinite(drawn)]
    if not len(finite):
        return dict.fromkeys(("difference", "low", "high", "p", "detectable"), math.nan)
    low, high = interval(finite)
    below, above = (finite <= 0).sum(), (finite >= 0).sum()
    p = min(1.0, 2 * (min(below, above) + 1) / (len(finite) + 1))
    return {
        "difference": float(other - one),
        "low": low,
        "high": high,
        "p": float(p),
        "detectable": POWER_FACTOR * float(finite.std()),
    }


def mcnemar(one: np.ndarray, other: np.ndarray) -> float:
    """The exact two-sided p-value of McNemar's test on which utterances two systems got right, bool (N,)."""
    from scipy.stats import binomtest

    only_one, only_other = int((one & ~other).sum()), int((~one & other).sum())
    return float(binomtest(only_one, only_one + only_other).pvalue) if only_one + only_other else 1.0


def matched_pairs(one: np.ndarray, other: np.ndarray) -> float:
    """The two-sided p-value of the matched-pairs test on the errors of each utterance, (N,).

    Gillick and Cox, "Some statistical issues in the comparison of speech recognition algorithms", ICASSP 1989
    (MAPSSWE), with utterances as segments.
    """
    from scipy.stats import norm

    gaps = np.asarray(other, dtype=np.float64) - np.asarray(one, dtype=np.float64)
    deviation = gaps.std(ddof=1) if len(gaps) > 1 else 0.0
    if deviation == 0:
        return 1.0 if gaps.sum() == 0 else 0.0
    return float(2 * norm.sf(abs(gaps.mean()) / (deviation / math.sqrt(len(gaps)))))
