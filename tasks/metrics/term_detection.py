"""Spoken term detection: term-weighted values, and normalised cross entropy.

TWV by NIST ("The spoken term detection 2006 evaluation plan"), with the costs and the trials of MediaEval's QUESST
2014: a trial is a query and a document. Cnxe by Rodriguez-Fuentes and Penagarikano, "MediaEval 2013 spoken web search
task: system performance measures", 2013.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Costs:
    """The costs of errors.

    Args:
        false_alarm, miss: the cost of one.
        target: the prior probability of a document with the query.
    """

    false_alarm: float = 1.0
    miss: float = 100.0
    target: float = 0.0008

    def __post_init__(self) -> None:
        if not (self.false_alarm >= 0 and self.miss > 0 and 0 < self.target < 1):
            raise ValueError(f"costs are {self}; expected a miss above 0, and a target between 0 and 1")

    @property
    def beta(self) -> float:
        """The weight of the rate of false alarms."""
        return self.false_alarm / self.miss * (1 / self.target - 1)


def value_curve(scores: np.ndarray, targets: np.ndarray, costs: Costs, thresholds: np.ndarray) -> np.ndarray:
    """The TWV of each query at each threshold: (Q, K). A score at the threshold is a detection.

    Args:
        scores: (Q, B). targets: bool (Q, B); each query has a target and a non-target. thresholds: (K,), rising.
    """
    curves = np.empty((len(scores), len(thresholds)))
    for row, (own, is_target) in enumerate(zip(scores, targets)):
        hits, alarms = np.sort(own[is_target]), np.sort(own[~is_target])
        missed = np.searchsorted(hits, thresholds, "left") / len(hits)
        false = 1 - np.searchsorted(alarms, thresholds, "left") / len(alarms)
        curves[row] = 1 - missed - costs.beta * false
    return curves


def most(scores: np.ndarray, targets: np.ndarray, costs: Costs) -> tuple[float, float]:
    """The greatest mean TWV of the queries, and its threshold; a threshold above all scores has the value 0."""
    thresholds = np.append(np.unique(scores), np.inf)
    values = value_curve(scores, targets, costs, thresholds).mean(axis=0)
    place = int(values.argmax())
    return float(values[place]), float(thresholds[place])


def at(scores: np.ndarray, targets: np.ndarray, costs: Costs, threshold: float) -> float:
    """The mean TWV of the queries at a threshold."""
    return float(value_curve(scores, targets, costs, np.array([threshold])).mean())


def normalised_scores(scores: np.ndarray) -> np.ndarray:
    """Scores of each query with mean 0 and deviation 1 over the documents: (Q, B). Equal scores become 0."""
    deviation = scores.std(axis=1, keepdims=True)
    return (scores - scores.mean(axis=1, keepdims=True)) / np.where(deviation > 0, deviation, 1.0)


def least_cross_entropy(scores: np.ndarray, targets: np.ndarray, costs: Costs) -> float:
    """Cnxe after the best affine calibration of the scores: 0 is perfect, 1 says nothing beyond the prior.

    Args:
        scores: (Q, B). targets: bool (Q, B).
    """
    from scipy.optimize import minimize

    x, y = scores.ravel(), targets.ravel()
    # costs move the prior that matters, as in the evaluation of verification
    prior = costs.target * costs.miss / (costs.target * costs.miss + (1 - costs.target) * costs.false_alarm)
    logit = np.log(prior / (1 - prior))

    def entropy(parameters: np.ndarray) -> float:
        ratio = parameters[0] * x + parameters[1] + logit
        hit, alarm = np.logaddexp(0, -ratio[y]).mean(), np.logaddexp(0, ratio[~y]).mean()
        return (prior * hit + (1 - prior) * alarm) / np.log(2)

    minimum = minimize(entropy, np.array([1.0, -1.0]), method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9})
    of_prior = -(prior * np.log2(prior) + (1 - prior) * np.log2(1 - prior))
    return float(min(minimum.fun / of_prior, 1.0))
