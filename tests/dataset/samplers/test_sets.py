"""Sub-batches: every set goes through its own epochs, each batch a function of its number alone."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from dataset.samplers.bucket import BucketBatchSampler
from dataset.samplers.random import RandomBatchSampler
from dataset.samplers.sets import Members, SetsBatchSampler
from dataset.samplers.sorted import SortedBatchSampler
from tests.parts.samplers import Lengths

SECONDS = np.random.default_rng(0).gamma(4, 2, 100)
CORPUS = np.array(["long" if i % 3 else "short" for i in range(100)])
DATA = Lengths(SECONDS, speaker=[f"s{i}" for i in range(100)])
INDICES = {name: np.flatnonzero(CORPUS == name) for name in ("short", "long")}


def sampler(batches=None, short=RandomBatchSampler, size=5):
    members = {name: Members(DATA, own) for name, own in INDICES.items()}
    samplers = {"short": short(members["short"], size, None), "long": BucketBatchSampler(members["long"], 4, None)}
    return SetsBatchSampler(samplers, INDICES, {"short": 1.0, "long": 2.0}, batches)


@pytest.mark.parametrize("batches", [None, 3, 40])
def test_each_set_goes_through_its_own_epochs_whatever_those_of_the_training(batches):
    """34 short utterances in 7 batches of 5, 66 long ones in 17 of 4: four own epochs of each."""
    sets = sampler(batches)
    parts = [sets.parts(3, *divmod(number, len(sets))) for number in range(4 * 17)]
    for name, length in (("short", 7), ("long", 17)):
        for epoch in range(4):
            own = [part[name] for part in parts[epoch * length : (epoch + 1) * length]]
            assert {number for number, _ in own} == {epoch}
            assert sorted(itertools.chain.from_iterable(indices for _, indices in own)) == INDICES[name].tolist()


def test_an_epoch_is_that_of_the_longest_set_or_as_many_batches_as_asked_for():
    assert len(sampler()) == 17 and len(sampler(5)) == 5
    assert len(sampler(size=1)) == 34


def test_a_batch_is_a_function_of_seed_epoch_and_number():
    sets = sampler()
    asked = [(seed, epoch, number) for seed in (0, 5) for epoch in (0, 3, 1) for number in (0, 16, 4)]
    batches = [sets.batch(*one) for one in asked]
    for one, batch in reversed(list(zip(asked, batches))):
        assert sampler().batch(*one) == batch == [i for _, own in sets.parts(*one).values() for i in own]
    assert len({tuple(batch) for batch in batches}) == len(batches)


@pytest.mark.parametrize("count", [0, 1, 5, 17, 20, 40])
def test_the_utterances_of_the_first_batches_are_those_that_come(count):
    sets = sampler(6)
    seen = {i for number in range(count) for i in sets.batch(7, *divmod(number, 6))}
    assert list(sets.utterances(7, count)) == sorted(seen)


def test_each_sampler_reads_the_lengths_and_columns_of_its_own_set():
    sets = sampler(short=SortedBatchSampler)
    first, last = ([SECONDS[i] for i in sets.parts(0, 0, place)["short"][1]] for place in (0, 6))
    assert max(first) == SECONDS[INDICES["short"]].max() and min(last) == SECONDS[INDICES["short"]].min()
    members = Members(DATA, INDICES["long"])
    assert len(members) == 66 and list(members.column("speaker")) == [f"s{i}" for i in INDICES["long"]]
