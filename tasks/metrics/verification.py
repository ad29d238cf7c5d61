"""How well scores tell target trials (one speaker) from the others: exact, over millions of trials.

A system says "the same" where a score is at least the threshold. Raising the threshold through all distinct scores
gives the operating points (P_fa, P_miss): how many of the others are accepted, how many targets are not. Everything
here comes from the two kinds of scores sorted, so 10 million trials take about a second.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold with the rates that it leads to; fractions."""

    threshold: float
    miss: float
    false_alarm: float


class TrialScores:
    """The scores of target and other trials, sorted.

    Args:
        scores: float (N,), higher for one speaker than for two.
        targets: bool (N,), true where both sides are one speaker.

    Raises:
        ValueError: one kind of trial is missing; a score is not finite.
    """

    def __init__(self, scores: np.ndarray, targets: np.ndarray):
        scores, targets = np.asarray(scores), np.asarray(targets, dtype=bool)
        if scores.shape != targets.shape or scores.ndim != 1:
            raise ValueError(f"scores {scores.shape} and targets {targets.shape} must be two lists of one length")
        bad = np.flatnonzero(~np.isfinite(scores))
        if len(bad):
            raise ValueError(f"{len(bad)} of {len(scores)} scores are not finite; the first is of trial {bad[0]}")
        self.target, self.other = np.sort(scores[targets]), np.sort(scores[~targets])
        if not len(self.target) or not len(self.other):
            raise ValueError(
                f"{len(self.target)} target trials and {len(self.other)} others: there is no error rate without both"
            )

    def at(self, threshold: float) -> OperatingPoint:
        """The rates where scores from ``threshold`` on are accepted."""
        # in the scores' own type: compared with float64, all of them would be copied
        value = np.asarray(threshold, dtype=self.target.dtype)
        below, passed = (int(np.searchsorted(side, value)) for side in (self.target, self.other))
        return OperatingPoint(float(threshold), below / len(self.target), 1 - passed / len(self.other))

    # ---- equal error rate ----

    @functools.cached_property
    def eer_point(self) -> OperatingPoint:
        """Where the line through neighbouring operating points has equal rates."""
        high = min(self._first_crossing(side) for side in (self.target, self.other))
        after = self.at(high)
        before = self.at(self._next_below(high))
        rise = (after.miss - after.false_alarm) - (before.miss - before.false_alarm)
        share = 0.0 if rise == 0 else (before.false_alarm - before.miss) / rise
        rate = before.miss + share * (after.miss - before.miss)
        return OperatingPoint(high if math.isfinite(high) else before.threshold, rate, rate)

    @property
    def eer(self) -> float:
        """The equal error rate, a fraction, interpolated between the two operating points around it."""
        return self.eer_point.miss

    def _first_crossing(self, side: np.ndarray) -> float:
        """The least of these scores at which misses are as many as false alarms, or more; infinity for none."""
        low, high = 0, len(side)
        while low < high:
            middle = (low + high) // 2
            point = self.at(side[middle])
            low, high = (low, middle) if point.miss >= point.false_alarm else (middle + 1, high)
        return float(side[low]) if low < len(side) else math.inf

    def _next_below(self, threshold: float) -> float:
        """The greatest score below ``threshold``; there is one, since at the least score nothing is missed."""
        if not math.isfinite(threshold):
            return max(float(self.target[-1]), float(self.other[-1]))
        value = np.asarray(threshold, dtype=self.target.dtype)
        places = ((side, int(np.searchsorted(side, value))) for side in (self.target, self.other))
        below = [float(side[place - 1]) for side, place in places if place]
        return max(below, default=threshold)

    # ---- detection cost ----

    @functools.cached_property
    def _corners(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Thresholds at the distinct target scores, between which a cost only rises, and at infinity; their rates."""
        thresholds = self.target[np.append(True, self.target[1:] != self.target[:-1])]
        miss = np.searchsorted(self.target, thresholds) / len(self.target)
        false_alarm = 1 - np.searchsorted(self.other, thresholds) / len(self.other)
        return np.append(thresholds, np.inf), np.append(miss, 1.0), np.append(false_alarm, 0.0)

    def min_dcf(self, p_target: float, cost_miss: float = 1.0, cost_false_alarm: float = 1.0) -> float:
        """The least detection cost over all thresholds, over that of the better of saying always yes or always no.

        NIST, "2016 speaker recognition evaluation plan", section 3.
        """
        return self.min_dcf_point(p_target, cost_miss, cost_false_alarm)[0]

    def min_dcf_point(
        self, p_target: float, cost_miss: float = 1.0, cost_false_alarm: float = 1.0
    ) -> tuple[float, OperatingPoint]:
        """:meth:`min_dcf` with where it is."""
        thresholds, miss, false_alarm = self._corners
        costs = _dcf(miss, false_alarm, p_target, cost_miss, cost_false_alarm)
        best = int(costs.argmin())
        point = OperatingPoint(float(thresholds[best]), float(miss[best]), float(false_alarm[best]))
        return float(costs[best]), point

    # ---- curve and calibration ----

    def det_curve(self, points: int = 200) -> list[OperatingPoint]:
        """At most ``points`` operating points with rates evenly spread on a DET plot's normal deviate scale.

        Martin et al., "The DET curve in assessment of detection task performance", Eurospeech 1997.
        """
        from scipy.special import ndtr

        deviates = ndtr(np.linspace(-4.3, 4.3, max(2, points // 2)))
        wanted = [np.quantile(side, deviates, method="nearest") for side in (self.target, self.other)]
        return [self.at(threshold) for threshold in np.unique(np.concatenate(wanted))]

    def cllr(self) -> float:
        """The cost of these scores as natural log likelihood ratios, in bits: 0 is perfect, 1 as good as none.

        Bruemmer and du Preez, "Application-independent evaluation of speaker detection", CSL 2006.
        """
        target, other = (np.logaddexp(0, s.astype(np.float64)).mean() for s in (-self.target, self.other))
        return float((target + other) / 2 / math.log(2))


def _dcf(miss: np.ndarray, false_alarm: np.ndarray, p_target: float, cost_miss: float, cost_false_alarm: float):
    if not 0 < p_target < 1:
        raise ValueError(f"p_target is {p_target}: expected a probability above 0 and below 1")
    costs = cost_miss * p_target, cost_false_alarm * (1 - p_target)
    return (costs[0] * miss + costs[1] * false_alarm) / min(costs)


@dataclass(frozen=True)
class Calibration:
    """From scores to natural log likelihood ratios: scale * score + offset."""

    scale: float
    offset: float

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """float (N,) -> float64 (N,)."""
        return self.scale * np.asarray(scores, dtype=np.float64) + self.offset


def learn_calibration(scores: np.ndarray, targets: np.ndarray) -> Calibration:
    """Logistic regression (scikit-learn's) in which both kinds of trial weigh the same, so that it gives likelihood
    ratios, not posteriors of a prior that the trial list happens to have.

    Where the scores separate the kinds without error the scale has no bound; a weak pull towards 0 keeps it finite.

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
