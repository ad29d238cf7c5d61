"""Features of filter banks are computed once and kept in RAM, with the bits that the loader would compute each time."""

from __future__ import annotations

import copy
import itertools
import logging
from pathlib import Path

import pytest
import torch

from dataset.audio import AudioError
from dataset.augmentations.chain import Chain
from dataset.augmentations.crop import RandomCrop
from dataset.augmentations.speed import SpeedPerturb
from dataset.loader import LoaderSettings, Unreadable, train_stream
from nn.downstream.linear import FrameLinear
from nn.upstream.signal.kaldi import Fbank
from problems.engine.features.attach import ComputedFeatures, attach_features
from problems.engine.features.computed import KeptFeatures
from tests.parts.features import Utterances, settings, task_of
from tests.parts.samplers import FixedBatchSampler

ALL = range(11)
SPEEDS = SpeedPerturb([0.9, 1.0, 1.1])


def attached(data, root, augment=None, passes=20.0, **more):
    dataset = copy.copy(data)
    dataset.augment = augment
    return attach_features(task_of(FrameLinear(80, 3), Fbank()), dataset, settings(root, **more), ALL, passes=passes)


def batches(dataset, number=9, **more):
    sampler = FixedBatchSampler(11, 4, shuffle=True)
    stream = train_stream(dataset, sampler, list, seed=5, settings=LoaderSettings(**more))
    return [batch for _, batch in itertools.islice(stream, number)]


@pytest.mark.parametrize("augment", [None, SPEEDS])
def test_kept_features_are_those_that_the_loader_computes_to_the_bit(data, root, augment):
    kept, computed = attached(data, root, augment), attached(data, root, augment, passes=1)
    assert isinstance(kept, KeptFeatures) and isinstance(computed, ComputedFeatures)
    lengths = set()
    for batch, other in zip(batches(kept), batches(computed, num_workers=2), strict=True):
        for item, again in zip(batch, other, strict=True):
            assert item["id"] == again["id"] and item.keys() == again.keys()
            (states,), (states_again,) = item["hidden_states"], again["hidden_states"]
            assert torch.equal(states, states_again)
            lengths.add((item["id"], len(states)))
    assert (len(lengths) > 11) == (augment is not None)  # several speeds of some utterances


def test_no_audio_is_read_again(data, root, caplog):
    with caplog.at_level(logging.INFO):
        kept = attached(data, root, SPEEDS)
    assert "features: kept in RAM" in caplog.text and not root.exists()
    for path, *_ in data.sources:
        Path(path).unlink(missing_ok=True)
    assert len(batches(kept)) == 9


@pytest.mark.parametrize(
    "case",
    [
        {"augment": Chain([SPEEDS, RandomCrop(0.1)])},  # any number of waveforms
        {"augment": RandomCrop(0.1)},
        {"augment": SPEEDS, "passes": 5.9},  # twice each of three speeds
        {"passes": 1.9},
        {"mode": "off"},
    ],
)
def test_features_are_not_kept_if_that_saves_no_work(data, root, case):
    assert isinstance(attached(data, root, **case), ComputedFeatures)


def test_features_that_are_read_twice_are_kept(data, root):
    assert isinstance(attached(data, root, SPEEDS, passes=6), KeptFeatures)
    assert isinstance(attached(data, root, passes=2), KeptFeatures)


@pytest.mark.parametrize(("free", "is_kept"), [(4.1, True), (3.9, False)])
def test_kept_features_take_a_quarter_of_the_ram(data, root, monkeypatch, free, is_kept):
    states = [s for item in (attached(data, root)[i] for i in range(11)) for s in item["hidden_states"]]
    size = sum(s.nbytes for s in states)
    monkeypatch.setattr("problems.engine.features.computed.available_memory", lambda: free * size)
    assert isinstance(attached(data, root), KeptFeatures) == is_kept


class Own(Utterances):
    def __getitem__(self, index):
        return super().__getitem__(0)


def test_a_dataset_with_items_of_its_own_is_left_alone(data, root):
    assert isinstance(attached(Own(data.csv), root), ComputedFeatures)


def test_an_unreadable_file_is_met_when_it_is_asked_for(data, root):
    path = Path(data.sources[3][0])
    users = [i for i, (other, *_) in enumerate(data.sources) if Path(other) == path]
    path.write_bytes(b"no audio")
    kept = attached(data, root)
    with pytest.raises(AudioError, match=path.name):
        kept[users[0]]
    assert any(isinstance(batch, Unreadable) for batch in batches(kept, keep_errors=True))
