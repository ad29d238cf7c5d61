"""Successive halving: what is dropped, when, and that it follows from the histories alone."""

from __future__ import annotations

import math

import pytest

from problems.benchmark.runs.halving import kept, rungs, steps_of


@pytest.mark.parametrize(
    "count, expected",
    [(1, []), (2, [(50, 1)]), (5, [(12.5, 3), (25, 2), (50, 1)]), (8, [(12.5, 4), (25, 2), (50, 1)])],
)
def test_half_is_left_at_each_rung_and_one_from_the_middle_on(count, expected):
    assert list(rungs(count, 100)) == expected


@pytest.mark.parametrize("count", range(1, 9))
def test_the_steps_of_a_search_are_those_of_its_trainings(count):
    """Counted step by step."""
    drops, left, steps = dict(rungs(count, 64)), count, 0
    for step in range(64):
        left = drops.get(step, left)
        steps += left
    assert steps_of(count, 64) == steps


def test_the_worse_half_is_dropped_by_the_best_validation_so_far():
    histories = [[(10, 3.0), (20, 9.0)], [(10, 5.0), (20, 1.0)], [(10, 4.0), (20, 8.0)], [(10, 2.0), (20, 2.0)]]
    assert kept(histories, 10, 100) == [0, 1, 2, 3]  # before the first rung, at 25
    histories = [[*own, (30, 7.0)] for own in histories]
    assert kept(histories, 20, 100) == [0, 1, 2, 3]
    assert kept(histories, 30, 100) == [1, 3]  # 1.0 and 2.0, whatever came last


def test_what_was_dropped_stays_dropped_whatever_it_did_later_and_in_whatever_order_it_is_asked():
    histories = [[(25, 1.0), (50, 1.0)], [(25, 2.0), (50, 0.1)], [(25, 3.0), (50, 0.0)], [(25, math.inf)]]
    assert kept(histories, 25, 100) == [0, 1]
    assert kept(histories, 50, 100) == [1]
    assert kept(histories, 25, 100) == [0, 1]


def test_a_training_without_a_validation_is_the_first_to_go_and_of_equal_ones_the_first_stays():
    assert kept([[], [(50, 9.0)]], 50, 100) == [1]
    assert kept([[(50, 1.0)], [(50, 1.0)]], 50, 100) == [0]
    assert kept([[], []], 50, 100) == [0]  # no value of either is finite
