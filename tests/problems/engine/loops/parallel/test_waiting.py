"""The time that processes wait for the one with the longest batch."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from dataset.samplers.bucket import BucketBatchSampler
from dataset.samplers.duration import DurationBatchSampler
from dataset.samplers.epochs import epoch_batches
from problems.engine.loops.parallel.waiting import log_waiting, share_of_waiting
from tests.parts.samplers import Lengths


def test_it_is_the_part_of_the_rounds_in_which_a_process_has_nothing_to_do():
    seconds = np.array([1.0, 3.0, 2.0, 2.0, 5.0])
    assert share_of_waiting([[0], [1], [2], [3]], seconds, 2) == pytest.approx(2 / 10)  # 2 of 6 s, then 0 of 4
    padded = share_of_waiting([[0, 2], [1], [4]], seconds, 2)
    assert padded == pytest.approx(1 / 8)  # padding counts, a part of a round not
    assert share_of_waiting([[0]], seconds, 4) == 0


def test_batches_of_a_length_wait_less_than_batches_of_a_number(caplog):
    caplog.set_level(logging.INFO)
    dataset = Lengths(np.random.default_rng(0).uniform(1, 15, 2000))
    bucket, duration = BucketBatchSampler(dataset, 8, None), DurationBatchSampler(dataset, None, 64.0)
    log_waiting(dataset, epoch_batches(duration, 0, 0), 4)
    assert not caplog.messages
    log_waiting(dataset, epoch_batches(bucket, 0, 0), 4)
    (message,) = caplog.messages
    assert message.startswith("4 processes wait about 3") and "name: duration" in message
    caplog.clear()
    log_waiting(dataset, epoch_batches(bucket, 0, 0), 1)
    log_waiting(range(2000), epoch_batches(bucket, 0, 0), 4)  # of unknown length
    assert not caplog.messages
