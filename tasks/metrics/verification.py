"""Speaker verification metrics: EER, minDCF, Cllr, the DET curve; exact, over millions of trials.

A trial is accepted if its score is at least the threshold. Raising the threshold through all distinct scores gives
the operating points (P_fa, P_miss): the share of non-target trials that are accepted, and of target trials that are
not. Everything here works on the sorted scores of both kinds, so 10 million trials take about a second.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold with its miss and false alarm rates, as fractions."""

    threshold: float
    miss: float
    false_alarm: float


class TrialScores:
    """The scores of target and non-target trials, sorted.

    Args:
        scores: float (N,), higher for one speaker than for two.
        targets: bool (N,), true if both sides are one speaker.

    Raises:
        ValueError: there are no trials of one kind, or a score is not finite.
    """

    def __init__(self, scores: np.ndarray, targets: np.ndarray):
        scores, targets = np.asarray(scores), np.asarray(targets, dtype=bool)
        if scores.shape != targets.shape or scores.ndim != 1:
            raise ValueError(f"scores {scores.shape} and targets {targets.shape}: expected two lists of one length")
        bad = np.flatnonzero(~np.isfinite(scores))
        if len(bad):
            raise ValueError(f"{len(bad)} of {len(scores)} scores are not finite; the first is of trial {bad[0]}")
        self.target, self.nontarget = np.sort(scores[targets]), np.sort(scores[~targets])
        if not len(self.target) or not len(self.nontarget):
            raise ValueError(
                f"{len(self.target)} target and {len(self.nontarget)} non-target trials: an error rate needs both"
            )

    def at(self, threshold: float) -> OperatingPoint:
        """The rates if scores from ``threshold`` on are accepted."""
        # in the type of the scores: compared with float64, all of them would be copied
        value = np.asarray(threshold, dtype=self.target.dtype)
        misses, rejections = (int(np.searchsorted(side, value)) for side in (self.target, self.nontarget))
        return OperatingPoint(float(threshold), misses / len(self.target), 1 - rejections / len(self.nontarget))

    # ---- equal error rate ----

    @functools.cached_property
    def eer_point(self) -> OperatingPoint:
        """The point of equal rates on the line through the two operating points around it."""
        high = min(self._first_crossing(side) for side in (self.target, self.nontarget))
        after = self.at(high)
        before = self.at(self._next_below(high))
        rise = (after.miss - after.false_alarm) - (before.miss - before.false_alarm)
        share = 0.0 if rise == 0 else (before.false_alarm - before.miss) / rise
        rate = before.miss + share * (after.miss - before.miss)
        return OperatingPoint(high if math.isfinite(high) else before.threshold, rate, rate)

    @property
    def eer(self) -> float:
        """The equal error rate as a fraction, interpolated between the two operating points around it."""
        return self.eer_point.miss

    def _first_crossing(self, side: np.ndarray) -> float:
        """The lowest of these scores at which the miss rate reaches the false alarm rate; infinity if none does."""
        low, high = 0, len(side)
        while low < high:
            middle = (low + high) // 2
            point = self.at(side[middle])
            low, high = (low, middle) if point.miss >= point.false_alarm else (middle + 1, high)
        return float(side[low]) if low < len(side) else math.inf

    def _next_below(self, threshold: float) -> float:
        """The highest score below ``threshold``. It exists, since the lowest score misses nothing."""
        if not math.isfinite(threshold):
            return max(float(self.target[-1]), float(self.nontarget[-1]))
        value = np.asarray(threshold, dtype=self.target.dtype)
        places = ((side, int(np.searchsorted(side, value))) for side in (self.target, self.nontarget))
        below = [float(side[place - 1]) for side, place in places if place]
        return max(below, default=threshold)

    # ---- detection cost ----

    @functools.cached_property
    def _corners(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Thresholds at the distinct target scores and at infinity, with their miss and false alarm rates.

        Between two of them a cost only rises.
        """
        thresholds = self.target[np.append(True, self.target[1:] != self.target[:-1])]
        miss = np.searchsorted(self.target, thresholds) / len(self.target)
        false_alarm = 1 - np.searchsorted(self.nontarget, thresholds) / len(self.nontarget)
        return np.append(thresholds, np.inf), np.append(miss, 1.0), np.append(false_alarm, 0.0)

    def min_dcf(self, p_target: float, cost_miss: float = 1.0, cost_false_alarm: float = 1.0) -> float:
        """The lowest detection cost over all thresholds, divided by that of the better constant decision.

        NIST, "2016 speaker recognition evaluation plan", section 3.
        """
        return self.min_dcf_point(p_target, cost_miss, cost_false_alarm)[0]

    def min_dcf_point(
        self, p_target: float, cost_miss: float = 1.0, cost_false_alarm: float = 1.0
    ) -> tuple[float, OperatingPoint]:
        """:meth:`min_dcf`, and the operating point that has it."""
        thresholds, miss, false_alarm = self._corners
        costs = _dcf(miss, false_alarm, p_target, cost_miss=cost_miss, cost_false_alarm=cost_false_alarm)
        best = int(costs.argmin())
        point = OperatingPoint(float(thresholds[best]), float(miss[best]), float(false_alarm[best]))
        return float(costs[best]), point

    # ---- curve and calibration ----

    def det_curve(self, points: int = 200) -> list[OperatingPoint]:
        """At most ``points`` operating points, evenly spread on the normal deviate scale of a DET plot.

        Martin et al., "The DET curve in assessment of detection task performance", Eurospeech 1997.
        """
        from scipy.special import ndtr

        deviates = ndtr(np.linspace(-4.3, 4.3, max(2, points // 2)))
        thresholds = [np.quantile(side, deviates, method="nearest") for side in (self.target, self.nontarget)]
        return [self.at(threshold) for threshold in np.unique(np.concatenate(thresholds))]

    def cllr(self) -> float:
        """The cost of these scores as natural log likelihood ratios, in bits: 0 is perfect, 1 is uninformative.

        Bruemmer and du Preez, "Application-independent evaluation of speaker detection", CSL 2006.
        """
        target, nontarget = (np.logaddexp(0, s.astype(np.float64)).mean() for s in (-self.target, self.nontarget))
        return float((target + nontarget) / 2 / math.log(2))


def _dcf(
    miss: np.ndarray, false_alarm: np.ndarray, p_target: float, *, cost_miss: float, cost_false_alarm: float
) -> np.ndarray:
    if not 0 < p_target < 1:
        raise ValueError(f"p_target is {p_target}: expected a probability above 0 and below 1")
    costs = cost_miss * p_target, cost_false_alarm * (1 - p_target)
    return (costs[0] * miss + costs[1] * false_alarm) / min(costs)


@dataclass(frozen=True)
class Calibration:
    """A linear map from scores to natural log likelihood ratios: scale * score + offset."""

    scale: float
    offset: float

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """float (N,) -> float64 (N,)."""
        return self.scale * np.asarray(scores, dtype=np.float64) + self.offset


def learn_calibration(scores: np.ndarray, targets: np.ndarray) -> Calibration:
    """Fit a calibration by logistic regression (scikit-learn's).

    Both kinds of trial weigh the same, so that the result is a likelihood ratio, independent of the share of target
    trials in the list. A weak regularisation keeps the scale finite if the scores separate the kinds without error.

    Args:
        scores: float (N,). targets: bool (N,), some of each kind.
    """
    from sklearn.linear_model import LogisticRegression

    scores = np.asarray(scores, dtype=np.float64)
    mean, deviation = float(scores.mean()), float(scores.std()) or 1.0
    regression = LogisticRegression(C=1e3, class_weight="balanced", tol=1e-8, max_iter=1000)
    regression.fit(((scores - mean) / deviation)[:, None], np.asarray(targets, dtype=bool))
    scale = float(regression.coef_[0, 0]) / deviation
    return Calibration(scale, float(regression.intercept_[0]) - scale * mean)
