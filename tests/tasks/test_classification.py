"""Classification: losses, metrics and predictions follow their definitions, for one label and for several slots."""

from __future__ import annotations

import json
import math
import random

import pytest
import torch

from tasks.classification import ClassificationTask
from tests.parts.classifiers import COLOURS, SIZES, Echo, Labels, Slots, batch


def test_one_label_is_scored_over_the_whole_set_whatever_the_batches():
    task = ClassificationTask(Echo(4), Labels(COLOURS), top_k=[2]).eval()
    whole = batch([0, 1, 1, 3, 2, 1], 4)
    out = task("valid", **whole)
    best = whole["wav"].argmax(1)
    assert out.records["hypothesis"] == [COLOURS[i] for i in best]
    assert out.records["reference"] == ["blue", "green", "green", "yellow", "red", "green"]
    assert json.loads(json.dumps(out.records)) == out.records
    metrics = task.reduction("valid", out.records)
    assert metrics["accuracy"] == pytest.approx((best == whole["label"]).double().mean().item())
    second = whole["wav"].topk(2, dim=1).indices
    assert metrics["top2_accuracy"] == pytest.approx((second == whole["label"][:, None]).any(1).float().mean().item())
    recalls = [(best[whole["label"] == c] == c).float().mean().item() for c in range(4)]
    assert metrics["uar"] == pytest.approx(sum(recalls) / 4)
    nll = torch.nn.functional.cross_entropy(whole["wav"], whole["label"]).item()
    assert metrics["loss"] == pytest.approx(nll) and out.loss.item() == pytest.approx(nll)
    assert metrics["utterances"] == 6
    assert set(metrics) == set(task.metrics)

    order = list(range(6))
    random.Random(1).shuffle(order)
    shuffled = {name: [values[i] for i in order] for name, values in out.records.items()}
    assert task.reduction("valid", shuffled) == metrics


def test_training_gives_no_predictions_and_its_gradient_reaches_the_model():
    task = ClassificationTask(Echo(4), Labels(COLOURS))
    out = task("train", **batch([0, 1], 4))
    out.loss.backward()
    assert task.model.gain.grad is not None
    assert list(out.records) == ["id"] and out.weight == 2 and task.reduction("train", out.records) == {}


def test_several_labels_are_judged_jointly_and_each_for_itself():
    task = ClassificationTask(Echo(6), Slots()).eval()
    data = batch([[0, 1], [1, 1], [3, 0], [2, 0]], 6)
    out = task("test", **data)
    colours, sizes = data["wav"][:, :4].argmax(1), data["wav"][:, 4:].argmax(1)
    assert out.records["hypothesis"] == [f"{COLOURS[c]} ; {SIZES[s]}" for c, s in zip(colours, sizes)]
    metrics = task.reduction("test", out.records)
    right = torch.stack([colours, sizes], 1) == data["label"]
    assert set(metrics) <= set(task.metrics)
    assert task.metrics["uar_colour"].heading("uar_colour") == "UAR colour"
    assert metrics["accuracy"] == right.all(1).float().mean()
    assert [metrics["accuracy_colour"], metrics["accuracy_size"]] == right.float().mean(0).tolist()
    expected = sum(
        torch.nn.functional.cross_entropy(part, data["label"][:, k])
        for k, part in enumerate((data["wav"][:, :4], data["wav"][:, 4:]))
    )
    assert out.loss.item() == pytest.approx(expected.item())
    probability = data["wav"][:, :4].softmax(1).amax(1) * data["wav"][:, 4:].softmax(1).amax(1)
    assert out.records["confidence"] == pytest.approx(probability.tolist())
    predictions = task.predict(data["wav"], data["wav_len"])
    assert [str(own) for own in predictions] == out.records["hypothesis"]
    assert [own.probability for own in predictions] == pytest.approx(probability.tolist())


def test_class_weights_and_smoothing_act_in_training_alone_and_follow_the_definition():
    data = batch([0, 1, 1, 3], 4)
    weights = {"blue": 4 / 3, "green": 4 / 6, "yellow": 4 / 3}
    task = ClassificationTask(Echo(4), Labels(COLOURS), class_weights=weights, label_smoothing=0.1)
    by_hand = 0.0
    for scores, label in zip(data["wav"].log_softmax(1).tolist(), data["label"].tolist()):
        smoothed = -0.9 * scores[label] - 0.1 / 4 * sum(scores)
        by_hand += weights.get(COLOURS[label], 1.0) * smoothed / 4
    assert task("train", **data).loss.item() == pytest.approx(by_hand)
    plain = torch.nn.functional.cross_entropy(data["wav"], data["label"]).item()
    assert task.eval()("valid", **data).loss.item() == pytest.approx(plain)
    assert not task.state_dict().keys() - {"model.gain"}  # the weights come from the arguments


def test_slots_take_a_list_of_weights():
    data = batch([[0, 1], [1, 1]], 6)
    task = ClassificationTask(Echo(6), Slots(), class_weights=[{"blue": 0.0, "green": 0.0}, {}])
    expected = torch.nn.functional.cross_entropy(data["wav"][:, 4:], data["label"][:, 1])
    assert task("train", **data).loss.item() == pytest.approx(expected.item())
    with pytest.raises(ValueError, match="for 1 labels an utterance, expected 2"):
        ClassificationTask(Echo(6), Slots(), class_weights={"blue": 1.0})


def test_hidden_states_reach_the_model():
    data = batch([0, 1], 4)
    task = ClassificationTask(Echo(4), Labels(COLOURS)).eval()
    states = {"hidden_states": data["wav"], "hidden_lens": data["wav_len"], "id": data["id"], "label": data["label"]}
    assert task.takes_features and task("valid", **states).records == task("valid", **data).records


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"label_smoothing": 1.0}, "label_smoothing is 1.0"),
        ({"top_k": [0]}, r"top_k is \[0\]"),
        ({"class_weights": {"pink": 2.0}}, "'pink' is not a label of the training set.*'blue'"),
        ({"class_weights": {"blue": -1.0}}, "a weight is negative"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        ClassificationTask(Echo(4), Labels(COLOURS), **settings)


def test_a_model_of_another_size_is_refused():
    task = ClassificationTask(Echo(3), Labels(COLOURS))
    with pytest.raises(ValueError, match="gives 3 scores an utterance but the encoder has 4 classes"):
        task("train", **batch([0], 3))


def test_scores_that_are_not_finite_are_named_and_hit_nothing():
    data = batch([0, 1, 1], 4)
    data["wav"][2, 1] = math.nan
    task = ClassificationTask(Echo(4), Labels(COLOURS), top_k=[2]).eval()
    records = task("test", **data).records
    assert records["rank"][2] > 2
    with pytest.raises(ValueError, match="scores of 1 of 3 utterances are not finite, such as those of '0-2'"):
        task.reduction("test", records)
