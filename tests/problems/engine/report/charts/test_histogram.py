"""A histogram counts every score once, and draws each kind by its share."""

from __future__ import annotations

import numpy as np

from problems.engine.report.charts.histogram import BINS, histogram_figure


def test_every_score_is_counted_once():
    draw = np.random.default_rng(0)
    kinds = [("different", draw.normal(size=9000), 1), ("same", draw.normal(2, 1, size=900), 0)]
    figure = histogram_figure("Scores", "score", kinds)
    counts = np.array([[int(cell.replace(",", "")) for cell in row.cells[1:]] for row in figure.rows])
    assert counts.shape == (BINS, 2) and counts.sum(axis=0).tolist() == [9000, 900]
    peaks = [min(row.ys[kind] for row in figure.rows) for kind in (0, 1)]
    assert abs(peaks[0] - peaks[1]) < 30  # shares, not counts: ten times fewer are drawn as high
    assert figure.legend == [("different", 1), ("same", 0)] and "same 2." in figure.summary


def test_one_value_for_all_is_drawn():
    assert len(histogram_figure("Scores", "score", [("a", np.ones(3), 0), ("b", np.ones(2), 1)]).rows) == BINS
