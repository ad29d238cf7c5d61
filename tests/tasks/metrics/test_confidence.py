"""Calibration of confidence against scikit-learn, and by what it is for."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from tasks.metrics.classification import calibration_error
from tasks.metrics.confidence import learn_confidence, log_odds, right_words, word_posteriors


def overconfident(seed: int, count: int = 4000) -> tuple[list[float], list[bool]]:
    """Confidences whose true log odds are half of what they claim, less 0.3."""
    rng = np.random.default_rng(seed)
    claimed = rng.normal(2, 2, count)
    right = rng.uniform(size=count) < 1 / (1 + np.exp(-(0.5 * claimed - 0.3)))
    return (1 / (1 + np.exp(-claimed))).tolist(), right.tolist()


def test_it_is_logistic_regression():
    confidences, right = overconfident(0)
    own = learn_confidence(confidences, right)
    reference = LogisticRegression(C=1e6, tol=1e-10, max_iter=1000).fit(log_odds(confidences)[:, None], right)
    assert own.scale == pytest.approx(reference.coef_[0, 0], abs=1e-4)
    assert own.offset == pytest.approx(reference.intercept_[0], abs=1e-4)


def test_the_calibration_error_of_other_words_falls():
    calibration = learn_confidence(*overconfident(1))
    confidences, right = overconfident(2)
    before, after = calibration_error(confidences, right), calibration_error(calibration(confidences).tolist(), right)
    assert before > 0.1 and after < 0.03


def test_the_order_of_the_words_does_not_matter_to_the_bit():
    pairs = list(zip(*overconfident(3, 300)))
    expected = learn_confidence(*zip(*pairs))
    for seed in range(5):
        random.Random(seed).shuffle(pairs)
        assert learn_confidence(*zip(*pairs)) == expected


@pytest.mark.parametrize(
    "confidences, right",
    [([1.0, 0.0], [True, False]), ([0.0, 1.0, 0.5], [True, False, True]), ([0.9] * 5, [True, True, True, True, False])],
)
def test_extremes_stay_finite(confidences, right):
    calibration = learn_confidence(confidences, right)
    assert np.isfinite(calibration).all()
    assert ((calibration([0.0, 0.5, 1.0]) >= 0) & (calibration([0.0, 0.5, 1.0]) <= 1)).all()


@pytest.mark.parametrize("right", [[], [True], [False, False]])
def test_nothing_is_learnt_of_words_that_are_all_right_or_all_wrong(right):
    assert learn_confidence([0.5] * len(right), right) is None


@pytest.mark.parametrize(
    "reference, hypothesis, expected",
    [("a b c", "a x c", [1, 0, 1]), ("a b", "b", [1]), ("", "a", [0]), ("a", "", []), ("a a", "a a a", None)],
)
def test_words_are_right_where_the_alignment_says_so(reference, hypothesis, expected):
    right = right_words(reference, hypothesis.split())
    assert sum(right) == 2 if expected is None else right == [bool(own) for own in expected]


def test_posteriors_are_the_shares_of_the_texts_that_have_the_word():
    texts = [("a b c", 0.6), ("a x c", 0.3), ("b c", 0.1)]
    posteriors = word_posteriors([(text.split(), math.log(share) - 700) for text, share in texts])
    assert posteriors == pytest.approx([0.9, 0.7, 1.0])
    assert word_posteriors([(["a"], -5.0)]) == [1.0] and word_posteriors([([], 0.0), (["a"], 0.0)]) == []
