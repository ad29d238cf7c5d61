"""Multi-label classification: the threshold is learnt on validation, and a test uses it as it is."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from tasks.multilabel import MultiLabelTask, best_threshold, micro_f1
from tests.parts.classifiers import Echo, Labels, batch


def test_multilabel_learns_its_threshold_on_validation_and_keeps_it():
    task = MultiLabelTask(Echo(3), Labels(["a", "b", "c"])).eval()
    data = batch([[1, 0, 1], [0, 0, 0], [0, 1, 1], [1, 0, 0]], 3)
    out = task("valid", **data)
    assert out.records["reference"] == ["a ; c", "", "b ; c", "a"]
    metrics = task.reduction("valid", out.records)
    truth, scores = data["label"].numpy() > 0, data["wav"].sigmoid().double().numpy()
    tried = [micro_f1(truth, scores > t / 1000) for t in range(1000)]
    assert metrics["micro_f1"] == pytest.approx(max(tried)) and metrics["threshold"] == task.threshold
    expected = torch.nn.functional.binary_cross_entropy_with_logits(data["wav"], data["label"].float())
    assert metrics["loss"] == pytest.approx(expected.item())
    assert set(metrics) == set(task.metrics)

    other = MultiLabelTask(Echo(3), Labels(["a", "b", "c"])).eval()
    other.set_state(json.loads(json.dumps(task.get_state())))
    again = other.reduction("test", other("test", **data).records)
    assert again == metrics
    predictions = [set(own.labels) for own in other.predict(data["wav"], data["wav_len"])]
    assert predictions == [{label for label, p in zip("abc", row) if p > task.threshold} for row in scores]


def test_multilabel_without_a_single_true_label_says_that_precision_is_undefined():
    task = MultiLabelTask(Echo(2), Labels(["a", "b"])).eval()
    metrics = task.reduction("valid", task("valid", **batch([[0, 0]], 2)).records)
    assert math.isnan(metrics["map"]) and metrics["threshold"] == 0.5


def test_the_best_threshold_treats_equal_scores_alike():
    truth = np.array([[True], [False], [True], [False]])
    scores = np.array([[0.5], [0.5], [0.9], [0.1]])
    assert best_threshold(np.array([[True, False]]), np.array([[0.8, 0.2]])) == pytest.approx(0.5)
    threshold = best_threshold(truth, scores)
    assert 0.1 < threshold < 0.5 and micro_f1(truth, scores > threshold) == pytest.approx(0.8)


def test_hidden_states_reach_the_model():
    task, data = MultiLabelTask(Echo(3), Labels(["a", "b", "c"])).eval(), batch([[1, 0, 1], [0, 0, 0]], 3)
    expected = task("valid", **data).records
    states = {"hidden_states": data.pop("wav"), "hidden_lens": data.pop("wav_len")}
    assert task.takes_features and task("valid", **states, **data).records == expected


def test_scores_that_are_not_finite_are_named():
    task = MultiLabelTask(Echo(3), Labels(["a", "b", "c"])).eval()
    data = batch([[1, 0, 1], [0, 0, 0], [0, 1, 1]], 3)
    data["wav"][2, 1] = math.nan
    with pytest.raises(ValueError, match="scores of 1 of 3 utterances are not finite, such as those of '0-2'"):
        task.reduction("valid", task("valid", **data).records)
