"""Sub-batches of the config: each set inherits the keys that it lacks; mistakes name their set."""

from __future__ import annotations

import numpy as np
import pytest

from dataset.samplers.duration import DurationBatchSampler
from dataset.samplers.random import RandomBatchSampler
from problems.engine.runtime.errors import ConfigError
from problems.methods.batches import build_sampler, check_sets
from tests.parts.samplers import Lengths

KEY = "build_batch_sampler.train"
CORPUS = ["digits"] * 30 + ["sentences"] * 20
DATA = Lengths(np.linspace(1, 5, 50), corpus=CORPUS)
SHARED = {"name": "random", "batch_size": 5, "max_seconds": None, "conf": {}, "batches_per_epoch": None}


def build(data=DATA, shared=SHARED, **sets):
    return build_sampler({**shared, "sets": sets}, KEY, data)


def test_each_set_has_its_own_sampler_limits_and_weight_and_inherits_the_rest():
    seconds = {"name": "duration", "batch_size": None, "max_seconds": 20.0, "weight": 0.5}
    sets = build(digits={}, sentences=seconds)
    assert [type(s) for s in sets.samplers.values()] == [RandomBatchSampler, DurationBatchSampler]
    assert sets.weights == {"digits": 1.0, "sentences": 0.5} and len(sets) == 6
    parts = sets.parts(0, 0, 0)
    assert len(parts["digits"][1]) == 5 and all(CORPUS[i] == "digits" for i in parts["digits"][1])
    assert all(CORPUS[i] == "sentences" for i in parts["sentences"][1])
    assert len(build(shared=SHARED | {"batches_per_epoch": 9}, digits={}, sentences={})) == 9


def test_settings_of_another_sampler_are_not_inherited():
    buckets = SHARED | {"name": "bucket", "conf": {"buckets": 3}}
    build(shared=buckets, digits={"name": "random"}, sentences={})  # random has no buckets
    with pytest.raises(ConfigError, match="sets.digits.*buckets"):
        build(shared=buckets, digits={"name": "random", "conf": {"buckets": 3}}, sentences={})


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ({}, r"sets is {}: expected"),
        ({"digits": 3}, r"sets.digits is 3: expected {}"),
        ({"digits": {"batchsize": 3}}, r"sets.digits.batchsize: unknown key \(did you mean 'batch_size'"),
        ({"digits": {"batches_per_epoch": 3}}, r"sets.digits.batches_per_epoch: unknown key"),
        ({"digits": {"name": "buckets"}}, r"sets.digits.name: unknown name 'buckets'"),
        ({"digits": {"weight": 0}}, r"sets.digits.weight is 0: expected a number above 0"),
        ({"digits": {"weight": True}}, r"sets.digits.weight is True"),
        ({"digits": {"weight": "2"}}, r"sets.digits.weight is '2'"),
    ],
)
def test_mistakes_are_found_without_data_and_name_their_set(sets, message):
    with pytest.raises(ConfigError, match=message):
        check_sets({**SHARED, "sets": sets}, KEY)


def test_the_sets_must_be_all_those_of_the_data():
    with pytest.raises(ConfigError, match="names digits; expected every set of the training data: digits, sentences"):
        build(digits={})
    with pytest.raises(ConfigError, match="names digits, more, sentences|names digits, sentences, more"):
        build(digits={}, sentences={}, more={})
    with pytest.raises(ConfigError, match="no such column.*corpora of the corpus mixture"):
        build(Lengths([1.0], label=["a"]), digits={})


def test_a_sampler_without_numbers_is_refused():
    entry = {"name": "tests.parts.samplers:OneBatchSampler"}
    with pytest.raises(ConfigError, match="sets.digits: OneBatchSampler gives no batch by number"):
        build(digits=entry, sentences={})
    with pytest.raises(ConfigError, match="batches_per_epoch: OneBatchSampler gives no batch by number"):
        build_sampler({**SHARED, **entry, "batches_per_epoch": 3}, KEY, DATA)
