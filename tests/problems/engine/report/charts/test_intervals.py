"""The intervals of a table share one scale."""

from __future__ import annotations

import re

import pytest

from problems.engine.report.charts.intervals import intervals


def places(drawing) -> list[float]:
    return [float(number) for number in re.findall(r'(?:x1|x2|cx)="([\d.]+)%"', str(drawing))]


def test_values_and_bounds_lie_on_one_scale():
    one, other, alone = intervals([(0.2, [0.1, 0.3]), (0.4, [0.3, 0.5]), (0.1, None)])
    assert places(one) == pytest.approx([4, 50, 27]) and places(other) == pytest.approx([50, 96, 73])
    assert places(alone) == pytest.approx([4]) and "<line" not in alone


def test_without_an_interval_nothing_is_drawn():
    assert intervals([(0.5, None), (0.25, None)]) == ["", ""] and intervals([]) == []
    assert intervals([(None, [None, None])]) == [""]


def test_one_value_for_all_is_drawn():
    assert places(intervals([(1.0, [1.0, 1.0])])[0]) == [4, 4, 4]
