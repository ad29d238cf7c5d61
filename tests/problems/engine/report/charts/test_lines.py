"""A curve is drawn where its numbers are, with a row for each step, and a long one keeps its peaks."""

from __future__ import annotations

import math
import re

import pytest

from problems.engine.report.charts.axis import BOTTOM, LEFT, RIGHT, TOP
from problems.engine.report.charts.lines import curves_figure, thinned
from problems.engine.report.charts.plot import TRAIN, VALID, Plot, Series
from tasks.metrics.kinds import Number, Rate


def test_a_figure_has_a_row_for_each_step_and_a_column_for_each_curve():
    train = Series("training", [10, 20, 30], [3.0, math.nan, 1.0], TRAIN)
    valid = Series("validation", [20], [2.0], VALID, sparse=True)
    figure = curves_figure(Plot("loss.png", "loss", Number(), [train, valid], best=(20, 2.0)))
    assert list(figure.header) == ["step", "training", "validation"]
    assert [list(row.cells) for row in figure.rows] == [["10", "3", ""], ["20", "–", "2"], ["30", "1", ""]]
    assert [len(row.ys) for row in figure.rows] == [1, 1, 1]
    assert figure.rows[0].x == LEFT and figure.rows[-1].x == RIGHT
    assert TOP <= figure.rows[0].ys[0] < figure.rows[1].ys[0] < figure.rows[2].ys[0] <= BOTTOM
    assert figure.note == "best 2 at step 20" and "training: from 3 to 1, between 1 and 3" in figure.summary


def test_a_value_that_is_not_finite_breaks_the_line():
    series = Series("", [1, 2, 3, 4], [1.0, 2.0, math.inf, 3.0], TRAIN)
    svg = str(curves_figure(Plot("", "x", Number(), [series])).svg)
    (path,) = re.findall(r'class="curve s0" d="([^"]*)"', svg)
    assert path.count("M") == 2 and path.count("L") == 1


@pytest.mark.parametrize("values", [[], [math.nan]])
def test_a_curve_without_finite_values_has_axes_alone(values):
    series = Series("", list(range(len(values))), values, TRAIN)
    figure = curves_figure(Plot("", "x", Rate(), [series]))
    assert "no finite values" in figure.summary and len(figure.rows) == len(values)


def test_a_long_curve_keeps_its_ends_and_its_peaks():
    values = [math.sin(step / 50) for step in range(5000)]
    values[1234], values[4321], values[77] = 9.0, -9.0, math.nan
    series = Series("", list(range(5000)), values, TRAIN)
    short = thinned(series)
    assert len(short.steps) <= 300 and short.steps == sorted(short.steps)
    assert {0, 1234, 4321, 4999} <= set(short.steps)
    assert [values[step] for step in short.steps] == short.values
    assert thinned(short) is short
