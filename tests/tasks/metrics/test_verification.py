"""Verification metrics equal their definitions, counted one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from tasks.metrics.verification import TrialScores, learn_calibration


def drawn(seed: int, targets: int = 60, others: int = 90, step: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    scores = np.concatenate([draw.normal(1, 1, targets), draw.normal(-1, 1, others)]).astype(np.float32)
    labels = np.arange(targets + others) < targets
    order = draw.permutation(len(scores))
    return (np.round(scores / step) * step if step else scores)[order], labels[order]


def operating_points(scores: np.ndarray, targets: np.ndarray) -> list[tuple[float, float, float]]:
    """(threshold, miss, false alarm) at every distinct score and beyond the last, counted one by one."""
    points = []
    for threshold in [*sorted(set(scores.tolist())), math.inf]:
        miss = sum(s < threshold for s, t in zip(scores, targets) if t) / targets.sum()
        alarm = sum(s >= threshold for s, t in zip(scores, targets) if not t) / (~targets).sum()
        points.append((threshold, miss, alarm))
    return points


def brute_force_eer(scores: np.ndarray, targets: np.ndarray) -> float:
    points = operating_points(scores, targets)
    for (_, miss0, alarm0), (_, miss1, alarm1) in zip(points, points[1:]):
        if miss1 >= alarm1:
            share = (alarm0 - miss0) / ((miss1 - alarm1) - (miss0 - alarm0))
            return miss0 + share * (miss1 - miss0)
    raise AssertionError("the rates never cross")


def brute_force_min_dcf(scores: np.ndarray, targets: np.ndarray, p_target: float) -> float:
    costs = (p_target * miss + (1 - p_target) * alarm for _, miss, alarm in operating_points(scores, targets))
    return min(costs) / min(p_target, 1 - p_target)


@pytest.mark.parametrize("step", [0.0, 0.25, 1.0, 10.0])
@pytest.mark.parametrize("sizes", [(60, 90), (1, 5), (7, 1), (1, 1), (200, 20)])
@pytest.mark.parametrize("seed", range(4))
def test_eer_and_min_dcf_equal_their_definition_with_equal_scores_too(seed, sizes, step):
    scores, targets = drawn(seed, *sizes, step)
    trial_scores = TrialScores(scores, targets)
    assert trial_scores.eer == pytest.approx(brute_force_eer(scores, targets), abs=1e-12)
    for p_target in (0.01, 0.05, 0.5, 0.9):
        expected = brute_force_min_dcf(scores, targets, p_target)
        assert trial_scores.min_dcf(p_target) == pytest.approx(expected, abs=1e-12)
        cost, point = trial_scores.min_dcf_point(p_target)
        at = trial_scores.at(point.threshold)
        again = (p_target * at.miss + (1 - p_target) * at.false_alarm) / min(p_target, 1 - p_target)
        assert again == pytest.approx(cost)


def test_eer_is_where_the_roc_of_scikit_learn_crosses():
    from scipy.interpolate import interp1d
    from scipy.optimize import brentq

    scores, targets = drawn(9, 3000, 5000)
    alarm, hit, _ = roc_curve(targets, scores, drop_intermediate=False)
    expected = brentq(lambda x: 1 - x - interp1d(alarm, hit)(x), 0, 1)
    assert TrialScores(scores, targets).eer == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    "target, other, eer",
    [
        ([2, 3], [0, 1], 0.0),
        ([0, 1], [2, 3], 1.0),
        ([1, 1], [1, 1], 0.5),
        ([1, 3], [0, 2], 0.5),
        ([1, 3, 4, 5], [-1, 0, 0.5, 2], 0.25),
    ],
)
def test_known_equal_error_rates(target, other, eer):
    scores = np.array(target + other, dtype=np.float32)
    trial_scores = TrialScores(scores, np.arange(len(scores)) < len(target))
    assert trial_scores.eer == pytest.approx(eer)


def test_scores_of_two_normal_distributions_have_the_rate_of_theory():
    # equal deviations, means 2 d apart: the rate at the middle is Phi(-d)
    draw = np.random.default_rng(0)
    scores = np.concatenate([draw.normal(1.5, 1, 400_000), draw.normal(-1.5, 1, 400_000)])
    trial_scores = TrialScores(scores, np.arange(800_000) < 400_000)
    assert trial_scores.eer == pytest.approx(0.0668072, abs=1e-3)  # Phi(-1.5)
    assert trial_scores.eer_point.threshold == pytest.approx(0, abs=0.02)


def test_cost_is_normalised_by_the_better_default():
    useless = TrialScores(np.zeros(10, dtype=np.float32), np.arange(10) < 5)
    assert useless.min_dcf(0.01) == useless.min_dcf(0.9) == 1.0
    perfect = TrialScores(np.arange(10, dtype=np.float32), np.arange(10) >= 5)
    assert perfect.min_dcf(0.01) == 0.0
    # one of two targets is below one of 100 others: accept it at the cost of an alarm, or miss it
    scores = np.array([5, 1] + [2] + [0] * 99, dtype=np.float32)
    trial_scores = TrialScores(scores, np.arange(102) < 2)
    assert trial_scores.min_dcf(0.01) == pytest.approx(min(0.5, 99 * 0.01))
    assert trial_scores.min_dcf(0.05) == pytest.approx(min(0.5, 19 * 0.01))
    with pytest.raises(ValueError, match="p_target is 1"):
        trial_scores.min_dcf(1)


def test_a_cost_ratio_counts():
    scores, targets = drawn(3)
    trial_scores = TrialScores(scores, targets)
    # 10 * miss * 0.1 + 1 * alarm * 0.9: as p = 10/19 with costs of one, in units of the lesser
    assert trial_scores.min_dcf(0.1, cost_miss=10) == pytest.approx(trial_scores.min_dcf(1 / 1.9))


def test_det_points_are_operating_points_from_end_to_end():
    scores, targets = drawn(1, 500, 800)
    trial_scores = TrialScores(scores, targets)
    curve = trial_scores.det_curve(100)
    assert 50 < len(curve) <= 100
    assert all(point == trial_scores.at(point.threshold) for point in curve)
    misses, alarms = [p.miss for p in curve], [p.false_alarm for p in curve]
    assert misses == sorted(misses) and alarms == sorted(alarms, reverse=True)
    assert alarms[0] == 1 and misses[-1] > 0.99
    assert min(abs(p.miss - p.false_alarm) for p in curve) < 0.05  # neighbours are 0.09 deviates apart


def test_cllr_equals_its_definition():
    scores, targets = drawn(2)
    total = [sum(math.log2(1 + math.exp(-s)) for s in scores[targets].tolist()) / targets.sum()]
    total += [sum(math.log2(1 + math.exp(s)) for s in scores[~targets].tolist()) / (~targets).sum()]
    assert TrialScores(scores, targets).cllr() == pytest.approx(sum(total) / 2)
    assert TrialScores(np.zeros(4), np.array([1, 0, 1, 0])).cllr() == pytest.approx(1.0)
    assert TrialScores(np.array([1e4, -1e4]), np.array([1, 0])).cllr() == 0.0  # no overflow


@pytest.mark.parametrize("others", [4000, 40_000])
def test_calibration_finds_the_likelihood_ratio_whatever_the_share_of_targets(others):
    # N(1, 1) against N(-1, 1) has the log likelihood ratio 2 x; here scores are 3 x + 5
    x, targets = drawn(0, 4000, others)
    calibration = learn_calibration(3 * x + 5, targets)
    assert calibration.scale == pytest.approx(2 / 3, rel=0.1)
    assert calibration.offset == pytest.approx(-10 / 3, rel=0.1)
    calibrated = TrialScores(calibration(3 * x + 5), targets).cllr()
    assert calibrated < TrialScores(3 * x + 5, targets).cllr()
    assert calibrated == pytest.approx(TrialScores(2 * x, targets).cllr(), abs=5e-3)


def test_calibration_of_separable_or_constant_scores_is_finite():
    separable = learn_calibration(np.array([0.0, 1.0, 2.0, 3.0]), np.array([0, 0, 1, 1], dtype=bool))
    assert 0 < separable.scale < 1e3 and separable(np.array([1.5]))[0] == pytest.approx(0, abs=1e-3)
    constant = learn_calibration(np.full(4, 0.5), np.array([0, 0, 1, 1], dtype=bool))
    assert constant(np.array([0.5]))[0] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    "scores, targets, message",
    [
        ([0.1, 0.2], [1, 1], "2 target and 0 non-target trials: an error rate needs both"),
        ([0.1, float("nan"), float("inf")], [1, 0, 0], "2 of 3 scores are not finite; the first is of trial 1"),
        ([0.1, 0.2], [1], "expected two lists of one length"),
    ],
)
def test_what_has_no_error_rate_is_refused(scores, targets, message):
    with pytest.raises(ValueError, match=message):
        TrialScores(np.array(scores), np.array(targets))
