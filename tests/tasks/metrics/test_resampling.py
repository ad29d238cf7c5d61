"""The bootstrap: weighted metrics equal those of repeated utterances, and intervals cover what they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score

from tasks.metrics import classification, resampling
from tasks.metrics.verification import TrialScores

RANDOM = np.random.default_rng(0)
N = 60
WEIGHTS = RANDOM.integers(0, 4, (5, N)).astype(float)


def repeated(values, weights):
    return np.repeat(np.asarray(values), weights.astype(int), axis=0)


def test_units_are_drawn_whole_and_as_many_as_there_are():
    codes = np.array([0, 0, 1, 2, 2, 2])
    weights = np.concatenate(list(resampling.draws(codes, 300, seed=1)))
    assert weights.shape == (300, 6)
    assert (weights[:, 0] == weights[:, 1]).all() and (weights[:, 3] == weights[:, 5]).all()
    assert (weights[:, [0, 2, 3]].sum(axis=1) == 3).all()
    assert weights[:, 2].mean() == pytest.approx(1, abs=0.15)
    assert np.array_equal(weights, np.concatenate(list(resampling.draws(codes, 300, seed=1))))


def test_draws_in_blocks_are_as_many_as_asked_for(monkeypatch):
    monkeypatch.setattr(resampling, "CELLS", 100)
    assert sum(len(block) for block in resampling.draws(np.arange(30), 50)) == 50


def test_weighted_metrics_are_those_of_repeated_utterances():
    references = RANDOM.choice(list("abcd"), N)
    hypotheses = np.where(RANDOM.random(N) < 0.6, references, RANDOM.choice(list("abcd"), N))
    confidence, correct = RANDOM.random(N), references == hypotheses
    averages = resampling.averages_over_labels(WEIGHTS, references, hypotheses)
    ece = resampling.calibration_error(WEIGHTS, confidence, correct, 15)
    ratios = resampling.ratio(WEIGHTS, correct, np.arange(N))
    for row, weights in enumerate(WEIGHTS):
        texts = repeated(references, weights).tolist(), repeated(hypotheses, weights).tolist()
        assert averages["macro_f1"][row] == pytest.approx(classification.macro_f1(*texts))
        assert averages["uar"][row] == pytest.approx(classification.unweighted_average_recall(*texts))
        expected = classification.calibration_error(repeated(confidence, weights), repeated(correct, weights))
        assert ece[row] == pytest.approx(expected)
        assert ratios[row] == pytest.approx(repeated(correct, weights).sum() / repeated(np.arange(N), weights).sum())


def test_weighted_average_precision_is_scikit_learn_s():
    references, scores = RANDOM.random((N, 3)) < 0.3, np.round(RANDOM.random((N, 3)), 1)
    got = resampling.average_precisions(WEIGHTS, references, scores)
    for row, weights in enumerate(WEIGHTS):
        expected = [
            average_precision_score(repeated(references[:, c], weights), repeated(scores[:, c], weights))
            for c in range(3)
        ]
        assert got[row] == pytest.approx(np.mean(expected))


@pytest.mark.parametrize("digits", [1, 6])  # with ties, and without
def test_weighted_trials_are_repeated_trials(digits):
    targets = RANDOM.random(N) < 0.4
    scores = np.round(RANDOM.normal(targets, 0.8), digits)
    weighted = resampling.WeightedTrials(scores, targets)
    miss, false_alarm = weighted.rates(WEIGHTS)
    for row, weights in enumerate(WEIGHTS):
        trials = TrialScores(repeated(scores, weights), repeated(targets, weights))
        assert weighted.eer(miss, false_alarm)[row] == pytest.approx(trials.eer, abs=1e-12)
        for prior in (0.01, 0.5):
            assert weighted.min_dcf(miss, false_alarm, prior)[row] == pytest.approx(trials.min_dcf(prior))


def test_a_draw_without_a_kind_of_trial_has_no_rate():
    weighted = resampling.WeightedTrials(np.array([0.1, 0.9]), np.array([False, True]))
    rates = weighted.rates(np.array([[1.0, 0.0], [1.0, 1.0]]))
    eer = weighted.eer(*rates)
    assert math.isnan(eer[0]) and eer[1] == 0
    assert all(math.isnan(bound) for bound in resampling.interval(np.array([math.nan] * 3 + [0.5])))


def test_an_interval_covers_the_truth_nineteen_times_in_twenty():
    draw, covered, trials = np.random.default_rng(3), 0, 200
    for _ in range(trials):
        speakers = draw.normal(0.3, 0.1, 40)  # utterances of a speaker are alike
        errors = draw.random((40, 10)) < speakers[:, None]
        codes = np.repeat(np.arange(40), 10)
        values = resampling.resampled(lambda w, e=errors: {"x": resampling.ratio(w, e.ravel())}, codes, 200)["x"]
        low, high = resampling.interval(values)
        covered += low <= 0.3 <= high
    assert 0.9 <= covered / trials <= 0.98


def paired(one, other, seed=0):
    values = resampling.resampled(
        lambda w: {"d": resampling.ratio(w, other) - resampling.ratio(w, one)}, np.arange(len(one)), 300, seed
    )
    return resampling.difference(one.mean(), other.mean(), values["d"])


def test_a_planted_difference_is_found_and_a_planted_tie_is_not():
    draw, found, false, tests = np.random.default_rng(5), 0, 0, 200
    for _ in range(tests):
        shared = draw.random(400)  # both systems find the same utterances hard
        one, same, better = ((shared + 0.3 * draw.random(400) < limit).astype(float) for limit in (0.4, 0.4, 0.3))
        found += paired(one, better)["p"] < 0.05
        false += paired(one, same)["p"] < 0.05
    print(f"of {tests} test sets, the difference is found in {found}, and the tie taken for one in {false}")
    assert found >= 0.95 * tests and false <= 0.09 * tests


def test_the_detectable_difference_is_detected_in_four_of_five_tests():
    draw = np.random.default_rng(6)
    gap, size = 0.06, 600
    tests = [paired(draw.random(size) < 0.3, draw.random(size) < 0.3 + gap) for _ in range(150)]
    seen = np.mean([test["p"] < 0.05 for test in tests])
    detectable = np.mean([test["detectable"] for test in tests])
    power = stats.norm.cdf(gap / (detectable / resampling.POWER_FACTOR) - 1.96)
    assert seen == pytest.approx(power, abs=0.12)


def test_mcnemar_is_the_binomial_test_of_the_utterances_that_differ():
    one = np.array([True] * 20 + [False] * 12)
    other = np.array([True] * 10 + [False] * 10 + [True] * 2 + [False] * 10)
    assert resampling.mcnemar(one, other) == pytest.approx(stats.binomtest(10, 12).pvalue)
    assert resampling.mcnemar(one, one) == 1.0


def test_matched_pairs_is_the_normal_test_of_the_mean_difference():
    one, other = RANDOM.poisson(2, 300), RANDOM.poisson(2.4, 300)
    expected = stats.ttest_rel(one, other).pvalue  # of 300 utterances, nearly normal
    assert resampling.matched_pairs(one, other) == pytest.approx(expected, rel=0.1)
    assert resampling.matched_pairs(one, one) == 1.0 and resampling.matched_pairs(np.zeros(9), np.ones(9)) == 0.0
