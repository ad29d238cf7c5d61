"""Term-weighted values equal a sweep by brute force and a worked example; Cnxe has its known ends."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.metrics.term_detection import Costs, at, least_cross_entropy, most, normalised_scores

RNG = np.random.default_rng(0)


def by_hand(scores, targets, costs, threshold):
    values = []
    for own, is_target in zip(scores, targets):
        detected = own >= threshold
        missed = (is_target & ~detected).sum() / is_target.sum()
        false = (~is_target & detected).sum() / (~is_target).sum()
        values.append(1 - missed - costs.beta * false)
    return np.mean(values)


@pytest.mark.parametrize("wrong", [{"target": 0.0}, {"target": 1.0}, {"miss": 0.0}])
def test_costs_without_a_weight_are_refused(wrong):
    with pytest.raises(ValueError, match="expected a miss above 0"):
        Costs(**wrong)


def test_the_weight_of_false_alarms_is_that_of_quesst():
    assert Costs().beta == pytest.approx(12.49)
    assert Costs(1, 10, 0.0278).beta == pytest.approx(0.1 * (1 / 0.0278 - 1))


@pytest.mark.parametrize("costs", [Costs(), Costs(1, 1, 0.3)])
def test_values_are_those_of_a_sweep(costs):
    targets = RNG.random((7, 30)) < 0.3
    targets[:, 0], targets[:, 1] = True, False
    scores = (RNG.standard_normal((7, 30)) + 2 * targets).round(1)  # with ties
    for threshold in (-1.0, 0.5, 2.0, 9.0):
        assert at(scores, targets, costs, threshold) == pytest.approx(by_hand(scores, targets, costs, threshold))
    best, where = most(scores, targets, costs)
    swept = max(by_hand(scores, targets, costs, t) for t in [*np.unique(scores), np.inf])
    assert best == pytest.approx(swept) and by_hand(scores, targets, costs, where) == pytest.approx(best)


def test_a_worked_example():
    """Two queries: one finds both of its documents, the other one of two and a wrong one of eight."""
    scores, targets = np.zeros((2, 10)), np.zeros((2, 10), bool)
    targets[:, :2] = True
    scores[0, :2], scores[1, 0], scores[1, 5] = 1.0, 1.0, 1.0
    costs = Costs(1, 10, 0.1)  # beta 0.9
    assert at(scores, targets, costs, 0.5) == pytest.approx((1 + (1 - 1 / 2 - 0.9 / 8)) / 2)


def test_finding_nothing_is_worth_nothing():
    targets = np.array([[True, False, False]])
    assert most(np.array([[0.0, 1.0, 2.0]]), targets, Costs())[0] == 0.0
    assert most(np.array([[3.0, 1.0, 2.0]]), targets, Costs())[0] == 1.0


def test_cross_entropy_lies_between_perfect_and_prior():
    targets = np.zeros((4, 50), bool)
    targets[:, :10] = True
    assert least_cross_entropy(targets * 2.0, targets, Costs()) < 0.01
    assert least_cross_entropy(RNG.standard_normal(targets.shape), targets, Costs()) > 0.95
    good, better = (
        least_cross_entropy(RNG.standard_normal(targets.shape) + d * targets, targets, Costs()) for d in (1, 3)
    )
    assert better < good < 0.95


def test_scores_are_normalised_by_query():
    scores = normalised_scores(np.array([[1.0, 2.0, 3.0], [5.0, 5.0, 5.0]]))
    assert scores[0].mean() == pytest.approx(0) and scores[0].std() == pytest.approx(1) and (scores[1] == 0).all()
