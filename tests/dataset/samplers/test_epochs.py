"""The batches of an epoch: a function of the seed and the epoch alone."""

from __future__ import annotations

import torch

from dataset.samplers.balanced import BalancedBatchSampler
from dataset.samplers.bucket import BucketBatchSampler
from dataset.samplers.epochs import epoch_batches, first_utterances
from tests.parts.samplers import FixedBatchSampler, Lengths


def test_the_utterances_of_the_first_batches_are_listed_beforehand():
    drawing = BalancedBatchSampler(Lengths([1.0] * 40, label=["a"] * 37 + ["b"] * 3), 5, None)
    epochs = [{i for batch in epoch_batches(drawing, 3, epoch) for i in batch} for epoch in range(3)]
    assert first_utterances(drawing, 3, 8) == sorted(epochs[0]) != sorted(epochs[0] | epochs[1] | epochs[2])
    assert first_utterances(drawing, 3, 24) == sorted(epochs[0] | epochs[1] | epochs[2])
    some = FixedBatchSampler(11, 4)
    assert first_utterances(some, 0, 1) == [0, 1, 2, 3] and first_utterances(some, 0, 10**9) == list(range(11))


def test_the_seed_decides_the_order_of_the_data():
    sampler = FixedBatchSampler(37, 8, shuffle=True)
    orders = [epoch_batches(sampler, seed, 1) for seed in (0, 1, 0)]
    assert orders[0] == orders[2] != orders[1]
    bucketed = BucketBatchSampler(Lengths([1.0 + i / 37 for i in range(37)]), 4, None)
    orders = [list(epoch_batches(bucketed, seed, 1)) for seed in (0, 1, 0)]
    assert orders[0] == orders[2] != orders[1]
    drawing = torch.utils.data.BatchSampler(
        torch.utils.data.RandomSampler(range(37), generator=torch.Generator()), 8, drop_last=False
    )
    assert epoch_batches(drawing, 0, 3) == epoch_batches(drawing, 0, 3) != epoch_batches(drawing, 0, 4)
