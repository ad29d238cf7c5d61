"""Metrics of labels equal their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sklearn.metrics

from tasks.metrics.classification import (
    calibration_error,
    macro_f1,
    mean_average_precision,
    unweighted_average_recall,
)

REFERENCES = ["a", "a", "a", "b", "b", "c"]
HYPOTHESES = ["a", "a", "b", "b", "c", "d"]


def test_macro_f1_and_unweighted_recall_by_hand():
    # a: precision 1, recall 2/3; b: 1/2, 1/2; c: 0, 0; d, which no reference has: 0
    assert macro_f1(REFERENCES, HYPOTHESES) == pytest.approx((0.8 + 0.5 + 0 + 0) / 4)
    assert unweighted_average_recall(REFERENCES, HYPOTHESES) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)


def test_calibration_error_equals_its_definition():
    draw = np.random.default_rng(0)
    confidence = draw.uniform(0, 1, 500)
    confidence[:3] = 0.0, 1.0, 0.2
    correct = draw.uniform(0, 1, 500) < confidence**2
    expected = 0.0
    for low in np.arange(10) / 10:
        inside = (confidence > low) & (confidence <= low + 0.1 + 1e-12)
        inside |= (confidence == 0) & (low == 0)
        if inside.any():
            expected += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    assert calibration_error(confidence.tolist(), correct.tolist(), 10) == pytest.approx(expected)
    assert calibration_error([1.0, 0.5, 0.5], [True, True, False]) == 0
    assert calibration_error([0.05, 0.15], [True, False], 10) == pytest.approx((0.95 + 0.15) / 2), "the first two bins"


def test_average_precision_skips_labels_that_are_never_true():
    truth = np.array([[1, 0], [0, 0], [1, 0]], dtype=bool)
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]])
    assert mean_average_precision(truth, scores) == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert math.isnan(mean_average_precision(truth[:, 1:], scores[:, 1:]))


def test_macro_f1_and_unweighted_recall_are_those_of_scikit_learn_to_the_last_bit():
    draw = np.random.default_rng(0)
    for _ in range(50):
        labels, count = draw.integers(1, 30), draw.integers(1, 200)
        references = [f"label {n}" for n in draw.integers(0, labels, count)]
        hypotheses = [r if draw.random() < 0.6 else f"label {draw.integers(0, labels)}" for r in references]
        options = {"average": "macro", "zero_division": 0}
        f1 = sklearn.metrics.f1_score(references, hypotheses, **options)
        recall = sklearn.metrics.recall_score(references, hypotheses, labels=sorted(set(references)), **options)
        assert macro_f1(references, hypotheses) == f1
        assert unweighted_average_recall(references, hypotheses) == recall
