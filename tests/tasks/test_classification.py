from __future__ import annotations

import json
import math
import random

import pytest
import torch
from torch import nn

from tasks.classification import ClassificationTask
from tasks.metrics.classification import balanced_weights
from tasks.multilabel import MultiLabelTask, best_threshold, micro_f1

COLOURS = ["blue", "green", "red", "yellow"]
SIZES = ["big", "small"]


class Labels:
    """A label encoder."""

    def __init__(self, labels: list[str]):
        self.labels = labels

    def encode(self, label: str) -> int:
        return self.labels.index(label)

    def decode(self, index: int) -> str:
        return self.labels[index]

    def __len__(self) -> int:
        return len(self.labels)


class Slots:
    """Two labels an utterance."""

    def __init__(self):
        self.slots, self.encoders = ("colour", "size"), (Labels(COLOURS), Labels(SIZES))

    def __len__(self) -> int:
        return sum(map(len, self.encoders))


class Given(nn.Module):
    """Takes its scores from the first samples of each waveform."""

    def __init__(self, classes: int):
        super().__init__()
        self.classes, self.gain = classes, nn.Parameter(torch.ones(()))

    def forward(self, wav=None, wav_len=None, hidden_states=None, hidden_lens=None):
        x = wav if hidden_states is None else hidden_states
        return self.gain * x[:, : self.classes], torch.ones(len(x), dtype=torch.long)


def batch(label: list, classes: int, seed: int = 0) -> dict:
    wav = torch.randn(len(label), classes, generator=torch.Generator().manual_seed(seed))
    ids = [f"{seed}-{i}" for i in range(len(label))]
    return {"wav": wav, "wav_len": torch.full((len(label),), classes), "id": ids, "label": torch.tensor(label)}


def test_one_label_is_scored_over_the_whole_set_whatever_the_batches():
    task = ClassificationTask(Given(4), Labels(COLOURS), top_k=[2]).eval()
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
    task = ClassificationTask(Given(4), Labels(COLOURS))
    out = task("train", **batch([0, 1], 4))
    out.loss.backward()
    assert task.model.gain.grad is not None
    assert list(out.records) == ["id"] and out.weight == 2 and task.reduction("train", out.records) == {}


def test_several_labels_are_judged_jointly_and_each_for_itself():
    task = ClassificationTask(Given(6), Slots()).eval()
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
    assert task.predict(data["wav"], data["wav_len"]) == out.records["hypothesis"]


def test_class_weights_and_smoothing_act_in_training_alone_and_follow_the_definition():
    data = batch([0, 1, 1, 3], 4)
    weights = balanced_weights(["blue", "green", "green", "yellow"])
    assert weights == {"blue": 4 / 3, "green": 4 / 6, "yellow": 4 / 3}
    task = ClassificationTask(Given(4), Labels(COLOURS), class_weights=weights, label_smoothing=0.1)
    by_hand = 0.0
    for scores, own in zip(data["wav"].log_softmax(1).tolist(), data["label"].tolist()):
        smoothed = -0.9 * scores[own] - 0.1 / 4 * sum(scores)
        by_hand += weights[COLOURS[own]] * smoothed / 4
    assert task("train", **data).loss.item() == pytest.approx(by_hand)
    plain = torch.nn.functional.cross_entropy(data["wav"], data["label"]).item()
    assert task.eval()("valid", **data).loss.item() == pytest.approx(plain)
    assert not task.state_dict().keys() - {"model.gain"}  # the weights come from the arguments


def test_slots_take_a_list_of_weights():
    data = batch([[0, 1], [1, 1]], 6)
    task = ClassificationTask(Given(6), Slots(), class_weights=[{"blue": 0.0, "green": 0.0}, {}])
    expected = torch.nn.functional.cross_entropy(data["wav"][:, 4:], data["label"][:, 1])
    assert task("train", **data).loss.item() == pytest.approx(expected.item())
    with pytest.raises(ValueError, match="for 1 labels an utterance, expected 2"):
        ClassificationTask(Given(6), Slots(), class_weights={"blue": 1.0})


def test_hidden_states_reach_the_model():
    data = batch([0, 1], 4)
    task = ClassificationTask(Given(4), Labels(COLOURS)).eval()
    states = {"hidden_states": data["wav"], "hidden_lens": data["wav_len"], "id": data["id"], "label": data["label"]}
    assert task("valid", **states).records == task("valid", **data).records


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"label_smoothing": 1.0}, "label_smoothing is 1.0"),
        ({"top_k": [0]}, r"top_k is \[0\]"),
        ({"class_weights": {"pink": 2.0}}, "'pink' is no label of the training set.*'blue'"),
        ({"class_weights": {"blue": -1.0}}, "a weight is negative"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        ClassificationTask(Given(4), Labels(COLOURS), **settings)


def test_what_cannot_be_scored_is_refused():
    task = ClassificationTask(Given(3), Labels(COLOURS))
    with pytest.raises(ValueError, match="gives 3 scores an utterance but the encoder has 4 classes"):
        task("train", **batch([0], 3))
    with pytest.raises(ValueError, match="no utterances to score in mode valid"):
        task.reduction("valid", {"id": []})
    with pytest.raises(RuntimeError, match=r"task.eval\(\)"):
        task.predict(torch.zeros(1, 3), torch.tensor([3]))


def test_scores_that_are_not_finite_are_named_and_hit_nothing():
    data = batch([0, 1, 1], 4)
    data["wav"][2, 1] = math.nan
    task = ClassificationTask(Given(4), Labels(COLOURS), top_k=[2]).eval()
    records = task("test", **data).records
    assert records["rank"][2] > 2
    message = "scores of 1 of 3 utterances are not finite; one is '0-2'"
    with pytest.raises(ValueError, match=message):
        task.reduction("test", records)
    task = MultiLabelTask(Given(3), Labels(["a", "b", "c"])).eval()
    data = batch([[1, 0, 1], [0, 0, 0], [0, 1, 1]], 3)
    data["wav"][2, 1] = math.nan
    with pytest.raises(ValueError, match=message):
        task.reduction("valid", task("valid", **data).records)


# ---- any number of labels ----


def test_multilabel_learns_its_threshold_on_validation_and_keeps_it():
    task = MultiLabelTask(Given(3), Labels(["a", "b", "c"])).eval()
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

    other = MultiLabelTask(Given(3), Labels(["a", "b", "c"])).eval()
    other.set_state(json.loads(json.dumps(task.get_state())))
    again = other.reduction("test", other("test", **data).records)
    assert again == metrics
    said = [{"a", "b", "c"} & set(text.split(" ; ")) for text in other.predict(data["wav"], data["wav_len"])]
    assert said == [{label for label, p in zip("abc", row) if p > task.threshold} for row in scores]


def test_multilabel_without_a_single_true_label_says_that_precision_is_undefined():
    task = MultiLabelTask(Given(2), Labels(["a", "b"])).eval()
    metrics = task.reduction("valid", task("valid", **batch([[0, 0]], 2)).records)
    assert math.isnan(metrics["map"]) and metrics["threshold"] == 0.5


def test_the_best_threshold_treats_equal_scores_alike():
    import numpy as np

    truth = np.array([[True], [False], [True], [False]])
    scores = np.array([[0.5], [0.5], [0.9], [0.1]])
    threshold = best_threshold(truth, scores)
    assert 0.1 < threshold < 0.5 and micro_f1(truth, scores > threshold) == pytest.approx(0.8)
