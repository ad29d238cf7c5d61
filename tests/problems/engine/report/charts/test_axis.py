"""Axes label round values and place them in order."""

from __future__ import annotations

import math
import random

import pytest

from problems.engine.report.charts.axis import deviates, frame, linear, logarithmic, round_values, short
from tasks.metrics.kinds import Rate


def test_round_values_are_multiples_of_one_step_within_the_range():
    draw = random.Random(0)
    for _ in range(300):
        low = draw.uniform(-1, 1) * 10 ** draw.uniform(-6, 6)
        high = low + 10 ** draw.uniform(-6, 6)
        values = round_values(low, high)
        step = values[1] - values[0]
        digit = step / 10 ** math.floor(math.log10(step) + 1e-6)
        assert 3 <= len(values) <= 9 and min(abs(digit - own) for own in (1, 2, 5)) < 0.01
        assert low - 1e-6 * step <= values[0] and values[-1] <= high + 1e-6 * step


@pytest.mark.parametrize(
    "axis",
    [
        linear([3.0, 1.0, math.nan, 2.0], 100, 0),
        linear([5.0], 100, 0),
        linear([0.0], 100, 0, metric=Rate()),
        linear([], 100, 0),
        logarithmic([0.001, 20.0], 100, 0),
        deviates(0.004, 0.4, 100, 0),
        deviates(0.0, 1.0, 100, 0),
    ],
)
def test_an_axis_places_values_between_its_ends_in_their_order(axis):
    places = [axis.place(value) for value, _ in axis.ticks]
    assert len(places) >= 2 and places == sorted(places, reverse=True)
    assert all(-1e-9 <= place <= 100 + 1e-9 for place in places)
    assert axis.place(axis.low) == pytest.approx(100) and axis.place(axis.high) == pytest.approx(0)
    assert axis.place(axis.high + 1) == pytest.approx(0)  # kept inside the drawing


def test_equal_ratios_and_equal_deviates_are_equal_steps():
    log = logarithmic([1.0, 1000.0], 0, 300)
    assert log.place(100) - log.place(10) == pytest.approx(log.place(10) - log.place(1))
    axis = deviates(0.01, 0.9, 0, 1)
    assert axis.place(0.5) - axis.place(0.158655) == pytest.approx(axis.place(0.841345) - axis.place(0.5), rel=1e-4)


def test_a_single_zero_has_an_axis_of_common_numbers():
    axis = linear([0], 0, 100)  # the steps of a problem that trains nothing
    assert [text for _, text in axis.ticks] == ["0", "0.2", "0.4", "0.6", "0.8", "1"] and axis.place(0) == 0


def test_labels_that_would_touch_are_left_out():
    axis = deviates(0.001, 0.9, 0, 100)
    assert 1 < str(frame(axis, axis, "x")).count("%") < 2 * len(axis.ticks)


@pytest.mark.parametrize(
    "value, text", [(0.0005, "0.0005"), (1500, "1500"), (20000, "20k"), (2.5e6, "2.5M"), (-3, "-3")]
)
def test_numbers_are_short(value, text):
    assert short(value) == text
