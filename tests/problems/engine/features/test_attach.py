"""Datasets with features in place of audio give the same results as audio, and are refused if the audio may change."""

from __future__ import annotations

import copy
import logging
import threading

import pytest
import torch

from dataset.collate import collate
from dataset.loader import LoaderSettings, train_stream
from nn.downstream.linear import FrameLinear, MeanPoolLinear
from nn.upstream.signal.kaldi import Fbank
from problems.engine.features.attach import CachedFeatures, ComputedFeatures, attach_features
from problems.engine.features.extraction import DTYPES
from problems.engine.loops.evaluate import EvalLoop
from tests.parts.features import Utterances, assert_close, settings, states_alone, task_of
from tests.parts.samplers import FixedBatchSampler

ALL = range(11)


@pytest.mark.parametrize("mode", ["disk", "ram"])
@pytest.mark.parametrize("dtype", ["fp16", "fp32"])
def test_cached_states_are_those_of_the_utterance_alone(data, root, mode, dtype):
    task = task_of(FrameLinear(6, 3))
    dataset = attach_features(task, data, settings(root, mode, dtype), ALL)
    assert isinstance(dataset, CachedFeatures) and len(dataset) == len(data) == 11
    task.model.upstream.calls.clear()
    for index in range(len(data)):
        item = dataset[index]
        assert item.keys() == {"id", "label", "hidden_states"} and item["id"] == data[index]["id"]
        assert_close(item["hidden_states"], states_alone(task, data, index), DTYPES[dtype])
    assert len(task.model.upstream.calls) == 11  # those of the test alone
    assert bool(list(root.glob("*/*.safetensors"))) == (mode == "disk")


def test_the_model_is_left_as_it_was(data, root):
    task = task_of(FrameLinear(6, 3))
    before = {id(part): set(vars(part)) for part in task.modules()}
    attach_features(task, data, settings(root), ALL)
    assert {id(part): set(vars(part)) for part in task.modules()} == before


def test_an_utterance_without_a_frame_has_none(data, root):
    dataset = attach_features(task_of(MeanPoolLinear(6, 3)), data, settings(root), ALL)
    assert [tuple(s.shape) for s in dataset[0]["hidden_states"]] == [(0, 6)] * 3


@pytest.mark.parametrize("layers, count", [("last", 1), ([2, 0], 2), ([2, 0, 1], 3), (None, 3)])
def test_only_the_layers_that_the_head_reads_are_given(data, root, layers, count):
    task = task_of(FrameLinear(6, 3), layer_selections=layers).eval()
    if count > 1:
        torch.nn.init.normal_(task.model.featurizer.weights)
    dataset = attach_features(task, data, settings(root, dtype="fp32"), ALL)
    assert len(dataset[3]["hidden_states"]) == count
    for index in range(1, 4):
        torch.testing.assert_close(result(task, dataset, index), result(task, data, index), rtol=1e-5, atol=1e-6)


def result(task, dataset, index):
    batch = {k: v for k, v in collate([dataset[index]]).items() if k not in ("id", "label")}
    with torch.no_grad():
        return task.model(**batch)[0]


def test_means_give_the_same_result_as_frames_in_a_fraction_of_the_space(data, root):
    task = task_of(MeanPoolLinear(6, 3))
    torch.nn.init.normal_(task.model.featurizer.weights)
    dataset = attach_features(task, data, settings(root, dtype="fp32"), ALL)
    assert [tuple(s.shape) for s in dataset[8]["hidden_states"]] == [(1, 6)] * 3
    whole, batch = ([d[i] for i in range(11)] for d in (data, dataset))
    drop = ("id", "label")
    with torch.no_grad():
        logits = [task.model(**{k: v for k, v in collate(b).items() if k not in drop})[0] for b in (whole, batch)]
    torch.testing.assert_close(logits[0], logits[1], rtol=1e-5, atol=1e-6)


def test_means_are_given_only_if_nothing_acts_on_frames(data, root):
    class Louder(MeanPoolLinear):
        def forward(self, x, x_len):
            return super().forward(x.abs(), x_len)

    for head, options in ((Louder(6, 3), {}), (MeanPoolLinear(6, 3), {"normalize": True})):
        dataset = attach_features(task_of(head, **options), data, settings(root), ALL)
        assert dataset[7]["hidden_states"][0].shape[0] == 8
    task = task_of(MeanPoolLinear(6, 3))
    task.model.augment = torch.nn.Identity()
    assert attach_features(task, data, settings(root), ALL)[7]["hidden_states"][0].shape[0] == 8


class Noisy(Utterances):
    def __getitem__(self, index):
        item = super().__getitem__(index)
        return {**item, "wav": item["wav"] + torch.randn(len(item["wav"]))}


class Own(torch.utils.data.Dataset):
    def __getitem__(self, index):
        return {}


@pytest.mark.parametrize(
    "case", ["augment", "overridden", "own dataset", "trained", "part trained", "training", "off", "undigestible"]
)
def test_features_that_may_differ_between_epochs_are_not_cached(data, root, caplog, case):
    task = task_of(FrameLinear(6, 3))
    if case == "augment":
        data.augment = torch.flip
    elif case in ("overridden", "own dataset"):
        data = Noisy(data.csv) if case == "overridden" else Own()
    elif case == "trained":
        task.model.upstream_trainable = True
    elif case == "part trained":
        task.model.upstream.deeper.requires_grad_(True)
    elif case == "training":
        task.model.upstream.train()
    elif case == "undigestible":
        task.model.upstream.lock = threading.Lock()
    with caplog.at_level(logging.INFO):
        assert attach_features(task, data, settings(root, "off" if case == "off" else "disk"), ALL) is data
    reasons = {
        "augment": "changes the audio",
        "overridden": "Noisy does not define sources",
        "part trained": "not known",
        "own dataset": "Own does not define sources",
        "training": "not known",
        "undigestible": "cannot be digested",
    }
    assert reasons.get(case, "") in caplog.text
    assert not root.exists()


def test_an_upstream_without_weights_is_computed_in_the_loader(data, root):
    task = task_of(FrameLinear(80, 3), Fbank())
    assert isinstance(attach_features(task, data, settings(root), ALL), ComputedFeatures)
    assert not root.exists()


def trained(task, dataset, steps=12):
    """The weights after some steps, and the accuracy then."""
    optimizer = torch.optim.SGD([p for p in task.parameters() if p.requires_grad], lr=0.1)
    sampler, workers = FixedBatchSampler(11, 4, shuffle=True), LoaderSettings(num_workers=1)
    stream = train_stream(dataset, sampler, collate, seed=0, settings=workers)
    for _, (_, batch) in zip(range(steps), stream):
        optimizer.zero_grad()
        task("train", **batch).loss.backward()
        optimizer.step()
    stream.close()
    loop = EvalLoop(task, torch.device("cpu"))
    metrics = loop.evaluate("valid", dataset, FixedBatchSampler(11, 4), collate)
    return torch.cat([p.detach().flatten() for p in task.parameters() if p.requires_grad]), metrics


@pytest.mark.parametrize("normalize", [False, True])
def test_training_on_cached_features_agrees_with_training_on_audio(data, root, normalize):
    torch.manual_seed(1)
    head = MeanPoolLinear(6, 3)
    plain, cached, exact = (task_of(copy.deepcopy(head), normalize=normalize) for _ in range(3))
    expected, metrics = trained(plain, data)
    weights, again = trained(cached, attach_features(cached, data, settings(root), ALL))
    assert metrics == again
    torch.testing.assert_close(weights, expected, rtol=0, atol=1e-3)
    weights, again = trained(exact, attach_features(exact, data, settings(root, dtype="fp32"), ALL))
    assert metrics == again
    torch.testing.assert_close(weights, expected, rtol=0, atol=1e-6)
