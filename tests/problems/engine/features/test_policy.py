"""Where features are cached, and what they take."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from problems.engine.features.cache import decide
from problems.engine.features.extraction import Encoder, groups_of
from problems.engine.runtime.environment import available_memory
from tests.parts.features import Convolution, utterances

GB = 1e9


@pytest.mark.parametrize(
    "mode, size, computing, disk, ram, place",
    [
        ("auto", 1 * GB, 100, 50 * GB, 8 * GB, "disk"),
        ("auto", 30 * GB, 3000, 50 * GB, 80 * GB, "ram"),  # more than half of the disk
        ("auto", 30 * GB, 3000, 50 * GB, 8 * GB, "off"),
        ("auto", 1 * GB, 5, 50 * GB, 8 * GB, "off"),  # at 0.2 GB/s, reading takes as long
        ("disk", 1 * GB, 5, 50 * GB, 8 * GB, "disk"),
        ("disk", 30 * GB, 3000, 50 * GB, 8 * GB, "disk"),
        ("disk", 60 * GB, 3000, 50 * GB, 80 * GB, "off"),
        ("ram", 6 * GB, 3000, 50 * GB, 8 * GB, "ram"),
        ("ram", 9 * GB, 3000, 50 * GB, 8 * GB, "off"),
    ],
)
def test_where_features_go(mode, size, computing, disk, ram, place):
    found, why = decide(mode, size, computing, {"disk": disk, "ram": ram})
    assert found == place
    assert bool(why) == (place == "off")
    if place == "off" and computing > 5:
        assert f"{size / GB:.1f} GB" in why


def test_what_features_take_is_known_from_lengths_alone(tmp_path):
    dataset, upstream = utterances(tmp_path), Convolution()
    for mean, dtype in ((False, "fp16"), (True, "fp32")):
        encoder = Encoder(upstream, [0, 2], mean, dtype)
        for index in range(len(dataset)):
            wav = dataset[index]["wav"]
            (states,) = encoder(wav[None], torch.tensor([len(wav)]))
            expected = encoder.sizes(np.array([dataset.seconds[index]]))[0]
            assert sum(s.nbytes for s in states) == expected, index


def test_groups_are_of_like_lengths_and_of_all_utterances_once():
    seconds = np.random.default_rng(0).uniform(0.2, 9, 200)
    seconds[7] = 40.0  # longer than a group
    groups = groups_of(seconds, torch.device("cpu"))
    assert sorted(i for group in groups for i in group) == list(range(200))
    assert all(len(g) == 1 or len(g) * seconds[g].max() <= 24.0001 for g in groups)
    assert sum(len(g) * seconds[g].max() for g in groups) < 1.1 * seconds.sum()


def test_there_is_memory():
    assert 1e6 < available_memory() < 1e14
