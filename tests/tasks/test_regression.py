"""Regression: losses of standardised numbers, metrics in the unit of the data, and defined values for constants."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dataset.encoders.number import NumberEncoder
from tasks.regression import RegressionTask
from tests.parts.classifiers import Echo

ENCODER = NumberEncoder(3.0, 0.5)
VALUES = ["3.5", "1", "4.25", "3.5"]


def make_batch(values: list[str], outputs: list[float], systems: list[str] | None = None) -> dict:
    batch = {
        "id": [f"u{number}" for number in range(len(values))],
        "wav": torch.tensor(outputs)[:, None],
        "wav_len": torch.ones(len(values), dtype=torch.long),
        "label": torch.tensor([ENCODER.encode(value) for value in values]),
        "value": values,
    }
    return batch if systems is None else batch | {"system": systems}


def task(**settings) -> RegressionTask:
    return RegressionTask(Echo(1), ENCODER, **settings).eval()


@pytest.mark.parametrize(
    ("settings", "loss"),
    [
        ({}, F.mse_loss),
        ({"loss": "l1"}, F.l1_loss),
        ({"loss": "huber", "huber_delta": 0.3}, lambda x, y: F.huber_loss(x, y, delta=0.3)),
    ],
)
def test_the_loss_is_of_standardised_numbers(settings, loss):
    outputs = [0.5, -1.0, 2.0, 0.0]
    out = task(**settings)("train", **make_batch(VALUES, outputs))
    labels = torch.tensor([1.0, -4.0, 2.5, 1.0])
    assert out.loss.item() == pytest.approx(loss(torch.tensor(outputs), labels).item())
    assert out.weight == 4 and list(out.records) == ["id"]


def test_predictions_and_errors_are_in_the_unit_of_the_data():
    own = task()
    records = own("test", **make_batch(VALUES, [0.5, -1.0, 2.0, 0.0])).records
    assert records["reference"] == [3.5, 1.0, 4.25, 3.5] and records["hypothesis"] == [3.25, 2.5, 4.0, 3.0]
    metrics = own.reduction("test", records)
    gaps = np.array([0.25, 1.5, 0.25, 0.5])
    assert metrics["mse"] == pytest.approx((gaps**2).mean()) and metrics["mae"] == pytest.approx(gaps.mean())
    assert metrics["loss"] == pytest.approx(((gaps / 0.5) ** 2).mean())
    assert not [name for name in metrics if name.startswith("system")] and metrics.keys() <= own.metrics.keys()
    predictions = own.predict(torch.tensor([[0.5], [1 / 3]]), torch.ones(2))
    assert [str(prediction) for prediction in predictions] == ["3.25", "3.16667"]


def test_systems_are_measured_if_they_are_known():
    own = task()
    records = own("valid", **make_batch(VALUES, [0.5, -1.0, 2.0, 0.0], ["b", "a", "a", "b"])).records
    metrics = own.reduction("valid", records)
    assert metrics["systems"] == 2 and metrics["system_mse"] == pytest.approx((0.625**2 + 0.375**2) / 2)
    assert metrics["system_pearson"] == pytest.approx(-1) and set(metrics) == set(own.metrics)


@pytest.mark.parametrize(
    ("values", "outputs", "words"),
    [
        (VALUES, [1.0] * 4, "test, 4 utterances: every prediction is 3.5, so that"),
        (["2"] * 4, [0.0, 1.0, 2.0, 3.0], "every reference is 2"),
        (["2"], [0.5], "every reference is 2 and every prediction is 3.25"),
    ],
)
def test_a_constant_gives_zero_correlations_and_a_warning(values, outputs, words, caplog):
    own = task()
    records = own("test", **make_batch(values, outputs)).records
    with caplog.at_level(logging.WARNING):
        metrics = own.reduction("test", records)
    assert [metrics[name] for name in ("pearson", "spearman", "kendall")] == [0, 0, 0]
    assert words in caplog.text and all(math.isfinite(value) for value in metrics.values())
    drawn = own.resampled("test", records, np.ones((2, len(values))))
    assert all(np.isfinite(value).all() for value in drawn.values())


def test_varying_numbers_give_no_warning(caplog):
    own = task()
    own.reduction("test", own("test", **make_batch(VALUES, [0.5, -1.0, 2.0, 0.0], list("abab"))).records)
    assert not caplog.records


def test_a_prediction_that_is_not_finite_is_named():
    own = task()
    with pytest.raises(ValueError, match="1 of 4 utterances are not finite, such as those of 'u2'"):
        own.reduction("test", own("test", **make_batch(VALUES, [0.5, -1.0, math.nan, 0.0])).records)


def test_hidden_states_reach_the_model():
    own, batch = task(), make_batch(VALUES, [0.5, -1.0, 2.0, 0.0])
    expected = own("valid", **batch).records
    states = {"hidden_states": batch.pop("wav"), "hidden_lens": batch.pop("wav_len")}
    assert own.takes_features and own("valid", **states, **batch).records == expected


def test_another_loss_and_a_model_of_other_outputs_are_refused():
    with pytest.raises(ValueError, match="loss is 'rmse': expected one of mse, l1, huber"):
        task(loss="rmse")
    wide = RegressionTask(Echo(2), ENCODER).eval()
    batch = make_batch(VALUES, [0.0] * 4) | {"wav": torch.zeros(4, 2)}
    with pytest.raises(ValueError, match=r"shape \(4, 2\): expected one an utterance"):
        wide("test", **batch)
