"""Batch samplers: each utterance once, limits kept, order a function of (seed, epoch) alone."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from dataset.samplers.buckets import BucketBatchSampler

SECONDS = np.random.default_rng(0).gamma(4, 2, 503)


def make(kind, shuffle=True, seed=0):
    limits = {"size": (8, None), "area": (None, 60.0), "both": (8, 60.0)}[kind]
    return BucketBatchSampler(SECONDS, *limits, shuffle=shuffle, seed=seed)


KINDS = pytest.mark.parametrize("kind", ["size", "area", "both"])


@KINDS
@pytest.mark.parametrize("shuffle", [False, True])
def test_every_utterance_once_an_epoch(kind, shuffle):
    sampler = make(kind, shuffle)
    for epoch in range(3):
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert len(sampler) == len(batches) and all(batches)
        assert sorted(i for batch in batches for i in batch) == list(range(len(SECONDS)))
        assert all(type(i) is int for i in batches[0])


@KINDS
def test_order_is_a_function_of_seed_and_epoch(kind):
    def order(seed, epoch):
        sampler = make(kind, seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    visited = make(kind)
    for epoch in (0, 3, 1):  # whatever came before
        visited.set_epoch(epoch)
        list(visited)
    assert list(visited) == list(visited) == order(0, 1)
    orders = [order(seed, epoch) for seed in (0, 1) for epoch in (0, 1)]
    assert all(order != earlier for i, order in enumerate(orders) for earlier in orders[:i])
    still = make(kind, shuffle=False)
    before = list(still)
    still.set_epoch(7)
    assert list(still) == before


@KINDS
def test_global_random_state_is_untouched(kind):
    def state():
        return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()

    before = state()
    list(make(kind))
    assert state() == before


def test_buckets_by_hand():
    seconds = [1.0, 5.0, 2.0, 40.0, 1.0, 3.0, 0.0]
    assert list(BucketBatchSampler(seconds, batch_size=3)) == [[3, 1, 5], [2, 0, 4], [6]]
    assert list(BucketBatchSampler(seconds, max_seconds=8)) == [[3], [1], [5, 2], [0, 4, 6]]
    assert list(BucketBatchSampler(seconds, batch_size=2, max_seconds=8)) == [[3], [1], [5, 2], [0, 4], [6]]
    assert list(BucketBatchSampler([0.1] * 3, max_seconds=0.3)) == [[0, 1, 2]]
    assert list(BucketBatchSampler([2.0], batch_size=4)) == [[0]]


@pytest.mark.parametrize("shuffle", [False, True])
def test_padded_area_is_limited_and_little_is_padding(shuffle):
    seconds = np.append(SECONDS, 99.0)
    sampler = BucketBatchSampler(seconds, max_seconds=60, shuffle=shuffle)
    areas = [len(batch) * seconds[batch].max() for batch in sampler]
    assert sorted(areas)[-2] <= 60 and max(areas) == 99  # the long one stands alone
    assert [503] in list(sampler)
    assert seconds.sum() / sum(areas) > (0.85 if shuffle else 0.95)
    assert len(areas) < 1.15 * seconds.sum() / 60 + 2  # batches are filled


def test_neighbours_and_batches_are_mixed_anew():
    sampler = make("size")
    epochs = []
    for epoch in range(2):
        sampler.set_epoch(epoch)
        epochs.append(list(sampler))
    together = [{frozenset((a, b)) for batch in batches for a in batch for b in batch if a < b} for batches in epochs]
    assert len(together[0] & together[1]) < 0.5 * len(together[0])
    means = [SECONDS[batch].mean() for batch in epochs[0]]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.4  # not from long to short


def test_batches_of_any_length_are_a_fair_sample():
    spread = {}
    for any_length in (None, True):
        sampler = BucketBatchSampler(SECONDS, 8, shuffle=True, any_length=any_length)
        batches = [batch for epoch in range(5) for batch in (sampler.set_epoch(epoch) or sampler)]
        assert sorted(i for batch in batches for i in batch) == sorted(list(range(len(SECONDS))) * 5)
        spread[any_length] = np.mean([SECONDS[batch].std() for batch in batches if len(batch) == 8])
    drawn = np.mean([SECONDS[np.random.default_rng(i).choice(503, 8)].std() for i in range(500)])
    assert spread[True] == pytest.approx(drawn, rel=0.1) and spread[None] < 0.3 * drawn
    with pytest.raises(ValueError, match="any_length needs shuffle"):
        BucketBatchSampler(SECONDS, 8, any_length=True)


def test_equal_lengths_are_shuffled():
    sampler = BucketBatchSampler(np.ones(100), batch_size=10, shuffle=True)
    assert sorted(next(iter(sampler))) != list(range(10))


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: BucketBatchSampler([1.0]), "batch_size and max_seconds are both None"),
        (lambda: BucketBatchSampler([1.0], batch_size=0), "batch_size must be a whole number of at least 1; got 0"),
        (lambda: BucketBatchSampler([1.0], batch_size=2.5), "batch_size .* got 2.5"),
        (lambda: BucketBatchSampler([1.0], batch_size=True), "batch_size .* got True"),
        (lambda: BucketBatchSampler([1.0], 1, seed=-1), "seed .* at least 0; got -1"),
        (lambda: BucketBatchSampler([1.0], 1).set_epoch(-1), "epoch .* got -1"),
        (lambda: BucketBatchSampler([1.0], max_seconds=0), "max_seconds must be .* above 0"),
        (lambda: BucketBatchSampler([1.0], max_seconds=float("nan")), "max_seconds .* got nan"),
        (lambda: BucketBatchSampler([], batch_size=1), "at least one length"),
        (lambda: BucketBatchSampler([1.0, float("nan")], batch_size=1), "utterance 1 is nan"),
        (lambda: BucketBatchSampler([1.0, -2], batch_size=1), "utterance 1 is -2"),
    ],
)
def test_arguments_are_checked(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_an_epoch_is_planned_once(monkeypatch):
    plain, cuts = BucketBatchSampler._cut, []
    monkeypatch.setattr(BucketBatchSampler, "_cut", lambda self, lengths: cuts.append(1) or plain(self, lengths))
    sampler = make("both")
    assert len(sampler) == len(list(sampler)) == len(sampler) and len(cuts) == 1
    sampler.set_epoch(1)
    assert len(list(sampler)) == len(sampler) and len(cuts) == 2


class TestBalance:
    classes = ["common"] * 400 + ["some"] * 80 + ["rare"] * 23

    def sampler(self, seed=0):
        return BucketBatchSampler(SECONDS, 8, shuffle=True, seed=seed, balance=self.classes)

    def test_every_class_comes_up_equally_often_in_an_epoch_of_the_same_length(self):
        sampler = self.sampler()
        drawn = [index for batch in sampler for index in batch]
        sizes = [sum(self.classes[i] == name for i in drawn) for name in ("common", "some", "rare")]
        assert sum(sizes) == 503 and max(sizes) - min(sizes) <= 1
        times = {i: drawn.count(i) for i in range(503)}
        assert {times[i] for i in range(480, 503)} == {7, 8}, "no utterance is drawn again before all of its class were"
        assert {times[i] for i in range(400, 480)} == {2, 3} and {times[i] for i in range(400)} == {0, 1}

    def test_epochs_differ_and_come_back(self):
        sampler = self.sampler()
        first = list(sampler)
        sampler.set_epoch(1)
        assert sorted(map(tuple, sampler)) != sorted(map(tuple, first))
        sampler.set_epoch(0)
        assert list(sampler) == first != list(self.sampler(seed=1))

    def test_over_epochs_every_utterance_is_seen(self):
        sampler, seen = self.sampler(), set()
        for epoch in range(20):
            sampler.set_epoch(epoch)
            seen |= {index for batch in sampler for index in batch}
        assert seen == set(range(503))

    def test_more_classes_than_utterances_of_some_and_arguments_that_contradict(self):
        drawn = [i for batch in BucketBatchSampler([1.0] * 3, 2, shuffle=True, balance=["a", "b", "c"]) for i in batch]
        assert sorted(drawn) == [0, 1, 2]
        with pytest.raises(ValueError, match="needs shuffle"):
            BucketBatchSampler(SECONDS, 8, balance=self.classes)
        with pytest.raises(ValueError, match="503 utterances .got 2"):
            BucketBatchSampler(SECONDS, 8, shuffle=True, balance=["a", "b"])
