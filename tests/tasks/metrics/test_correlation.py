"""Correlations are scipy's, for every draw at once, with ties; a constant column gives 0."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from tasks.metrics.correlation import CORRELATIONS, kendall

SCIPY = {"pearson": scipy.stats.pearsonr, "spearman": scipy.stats.spearmanr, "kendall": scipy.stats.kendalltau}


def columns(random, count: int, values: int | None):
    """Two columns that go together, of any numbers, or of few values, which gives ties."""
    x = random.standard_normal(count)
    y = x * random.choice([-1, 0.5, 2]) + random.standard_normal(count)
    return (x, y) if values is None else tuple(np.round(column * values) / values for column in (x, y))


@pytest.mark.parametrize("name", CORRELATIONS)
@pytest.mark.parametrize("values", [None, 1, 3])
def test_each_draw_has_scipy_s_correlation_of_its_repeated_pairs(name, values):
    random = np.random.default_rng(values)
    for count in (2, 3, 4, 5, 8, 13, 64, 65, 200):
        x, y = columns(random, count, values)
        weights = np.concatenate([np.ones((1, count)), random.integers(0, 4, (6, count))]).astype(float)
        found = CORRELATIONS[name](weights, x, y)
        for row, own in zip(found, weights.astype(int)):
            repeated = [np.repeat(column, own) for column in (x, y)]
            if all(len(set(column)) > 1 for column in repeated):
                assert row == pytest.approx(SCIPY[name](*repeated).statistic, abs=1e-12), (count, own)
            else:
                assert row == 0


@pytest.mark.parametrize("name", CORRELATIONS)
def test_a_constant_column_gives_zero_and_no_warning(name, recwarn):
    x, constant = np.arange(5.0), np.full(5, 0.1)
    weights = np.stack([np.ones(5), [0, 0, 3, 0, 0], np.zeros(5)])
    for pair in ((x, constant), (constant, x), (constant, constant)):
        assert CORRELATIONS[name](weights, *pair).tolist() == [0, 0, 0]
    assert CORRELATIONS[name](weights, x, x).tolist() == pytest.approx([1, 0, 0])
    assert CORRELATIONS[name](np.ones((1, 1)), x[:1], x[:1]).tolist() == [0]
    assert not recwarn.list


@pytest.mark.parametrize("name", CORRELATIONS)
@pytest.mark.parametrize("scale", [1e-200, 1e-9, 1e9, 1e200])
def test_units_do_not_matter(name, scale):
    x, y = columns(np.random.default_rng(5), 30, None)
    ones = np.ones((1, 30))
    expected = CORRELATIONS[name](ones, x, y)
    assert CORRELATIONS[name](ones, x * scale, 3 - y) == pytest.approx(-expected, abs=1e-9)


def test_ten_thousand_pairs_are_counted_exactly():
    x, y = columns(np.random.default_rng(1), 10000, 20)
    assert kendall(np.ones((1, 10000)), x, y)[0] == pytest.approx(scipy.stats.kendalltau(x, y).statistic, abs=1e-12)
