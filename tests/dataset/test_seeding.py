"""Seeds are the same on every machine, and generator states come back exactly."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from dataset import seeding


def draw():
    return random.random(), np.random.rand(), np.random.randn(), torch.rand(()).item()


def test_derived_seeds_are_pinned_and_differ():
    assert seeding.derive(0, 1, "order") == 1940657125
    seeds = {seeding.derive(*parts) for parts in [(0,), (1,), (0, 0), (0, "0"), ("order",), (0, 1, "order"), (0, 1)]}
    assert len(seeds) == 7 and all(0 <= seed < 2**32 for seed in seeds)


@pytest.mark.parametrize("seed", [seeding.seed_all, seeding.seed_cpu])
def test_a_seed_decides_every_generator(seed):
    seed(3)
    first = draw()
    seed(4)
    second = draw()
    seed(3)
    assert draw() == first and all(a != b for a, b in zip(first, second))


def test_a_state_survives_a_file_that_is_read_without_pickle(tmp_path):
    seeding.seed_all(0)
    np.random.randn()  # NumPy keeps the second of a pair of normal numbers
    torch.save(seeding.get_state(), tmp_path / "state.pt")
    expected = draw()
    seeding.seed_all(1)
    seeding.set_state(torch.load(tmp_path / "state.pt", weights_only=True))
    assert draw() == expected


def test_the_state_of_a_gpu_in_use_is_kept_too(monkeypatch):
    states = [torch.tensor([1, 2], dtype=torch.uint8)]
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda: states[-1])
    monkeypatch.setattr(torch.cuda, "set_rng_state", states.append)
    state = seeding.get_state()
    states.append(torch.tensor([3, 4], dtype=torch.uint8))
    seeding.set_state(state)
    assert states[-1].tolist() == [1, 2]


def test_a_block_leaves_the_generators_as_they_were_even_if_it_raises():
    seeding.seed_all(0)
    expected = draw()
    seeding.seed_all(0)
    with seeding.isolated(), pytest.raises(KeyError), seeding.isolated(5):
        draw()
        raise KeyError
    assert draw() == expected


def test_a_seeded_block_draws_by_its_seed():
    with seeding.isolated(5):
        inside = draw()
    seeding.seed_cpu(5)
    assert draw() == inside
