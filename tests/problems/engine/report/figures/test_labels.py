"""Confusions are counted as scikit-learn counts them, and reliability agrees with the task's calibration error."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix

from problems.engine.report.figures.labels import confusion, label_reliability, reliability_figure, wilson
from tasks.metrics.classification import calibration_error


def rows_of(count: int = 400, labels: int = 5) -> list[dict[str, str]]:
    draw = np.random.default_rng(0)
    names = [f"l{n}" for n in range(labels)]
    rows = []
    for reference in draw.integers(0, labels, count):
        hypothesis = reference if draw.random() < 0.7 else (reference + draw.integers(0, 2)) % labels
        row = {"reference": names[reference], "hypothesis": names[hypothesis], "confidence": str(draw.uniform(0.2, 1))}
        rows.append(row)
    return rows


def test_confusions_are_those_of_scikit_learn():
    rows = rows_of()
    counted = confusion(rows)
    columns = [[row[name] for row in rows] for name in ("reference", "hypothesis")]
    assert counted.counts == confusion_matrix(*columns, labels=counted.labels).tolist()
    reference, hypothesis, times, total = counted.pairs[0]
    off = confusion_matrix(*columns) * (1 - np.eye(5, dtype=int))
    assert times == off.max() and total == columns[0].count(reference) and reference != hypothesis


def test_the_shade_of_a_cell_is_its_share_of_the_row():
    matrix = confusion(rows_of())
    assert [matrix.shade([1, 8, 0, 991], count) for count in (0, 1, 8, 991)] == [0, 1, 1, 9]


def test_of_many_labels_only_the_most_frequent_confusions_are_listed():
    matrix = confusion(rows_of(400, labels=41))
    assert matrix.counts == [] and 0 < len(matrix.pairs) <= 20


@pytest.mark.parametrize("references", [["a b", "c d", "e f"], ["same"] * 3, []])
def test_what_does_not_repeat_and_what_is_all_one_has_no_confusions(references):
    assert confusion([{"reference": text, "hypothesis": text} for text in references]) is None


def test_the_distance_from_the_diagonal_is_the_calibration_error_of_the_task():
    rows = rows_of()
    confidences = [float(row["confidence"]) for row in rows]
    correct = [row["reference"] == row["hypothesis"] for row in rows]
    figure = label_reliability(rows)
    error = calibration_error(confidences, correct, bins=10)
    assert f"mean distance from the diagonal {100 * error:.2f}%" in figure.note
    assert sum(int(row.cells[3]) for row in figure.rows) == len(rows)


def test_a_perfect_calibration_lies_on_the_diagonal():
    draw = np.random.default_rng(0)
    expected = draw.random(20000)
    figure = reliability_figure("x", expected, draw.random(20000) < expected, kinds=("expected", "happened"))
    gaps = [abs(float(row.cells[0]) - float(row.cells[1].rstrip("%")) / 100) for row in figure.rows]
    assert len(gaps) == 10 and max(gaps) < 0.03


@pytest.mark.parametrize("cells", [["", ""], ["1.5", "0.5"], []])
def test_without_confidences_there_is_no_reliability(cells):
    rows = [{"reference": "a", "hypothesis": "a", "confidence": cell} for cell in cells]
    assert label_reliability(rows) is None and label_reliability([{"reference": "a", "hypothesis": "a"}]) is None


@pytest.mark.parametrize("times, count", [(7, 50), (0, 5), (5, 5)])
def test_the_interval_of_a_share_is_scipys(times, count):
    expected = binomtest(times, count).proportion_ci(method="wilson")
    assert wilson(times / count, count) == pytest.approx((expected.low, expected.high), abs=1e-4)
