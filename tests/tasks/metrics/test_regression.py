"""Metrics of predicted numbers: utterances and systems have the numbers of scipy and pandas, in any order."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from tasks.metrics.regression import all_metrics, constant_columns, resampled_systems

RANDOM = np.random.default_rng(3)
COUNT = 60
REFERENCES = np.round(RANDOM.uniform(1, 5, COUNT), 1)
HYPOTHESES = REFERENCES + RANDOM.standard_normal(COUNT)
SYSTEMS = [f"system {number % 7}" for number in range(COUNT)]


def by_scipy(x, y) -> dict[str, float]:
    return {
        "mse": np.mean((x - y) ** 2),
        "mae": np.mean(np.abs(x - y)),
        "pearson": scipy.stats.pearsonr(x, y).statistic,
        "spearman": scipy.stats.spearmanr(x, y).statistic,
        "kendall": scipy.stats.kendalltau(x, y).statistic,
    }


def expected(references, hypotheses, systems) -> dict[str, float]:
    means = pd.DataFrame({"x": references, "y": hypotheses}).groupby(list(systems)).mean()
    of_systems = {f"system_{name}": value for name, value in by_scipy(means["x"], means["y"]).items()}
    return by_scipy(np.array(references), np.array(hypotheses)) | of_systems


def test_utterances_and_the_means_of_systems_are_measured():
    metrics = all_metrics(REFERENCES.tolist(), HYPOTHESES.tolist(), SYSTEMS)
    assert metrics == pytest.approx(expected(REFERENCES, HYPOTHESES, SYSTEMS), abs=1e-12)
    assert all_metrics(REFERENCES.tolist(), HYPOTHESES.tolist()).keys() == by_scipy(REFERENCES, HYPOTHESES).keys()


def test_the_order_of_the_utterances_changes_no_bit():
    order = RANDOM.permutation(COUNT)
    shuffled = [[column[i] for i in order] for column in (REFERENCES.tolist(), HYPOTHESES.tolist(), SYSTEMS)]
    assert all_metrics(*shuffled) == all_metrics(REFERENCES.tolist(), HYPOTHESES.tolist(), SYSTEMS)


def test_systems_of_drawn_utterances_are_those_of_the_repeated_ones():
    weights = np.stack([np.ones(COUNT), *RANDOM.integers(0, 3, (4, COUNT)), np.arange(COUNT) % 7 == 2])
    values = resampled_systems(weights.astype(float), SYSTEMS, REFERENCES, HYPOTHESES)
    for row, own in enumerate(weights[:-1].astype(int)):
        places = np.repeat(np.arange(COUNT), own)
        drawn = expected(REFERENCES[places], HYPOTHESES[places], [SYSTEMS[i] for i in places])
        assert {name: value[row] for name, value in values.items()} == pytest.approx(
            {name: drawn[name] for name in values}, abs=1e-9
        )
    assert values["system_pearson"][-1] == 0, "one system alone has no correlation"


def test_constant_columns_are_named():
    assert constant_columns([1.0, 2.0], [1.5, 1.0]) == []
    assert constant_columns([1.0, 1.0], [2.0, 3.0]) == ["every reference is 1"]
    assert constant_columns([4.5], [2.0]) == ["every reference is 4.5", "every prediction is 2"]
