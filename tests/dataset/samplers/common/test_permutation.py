"""The permutation by index: every number once, a function of its key, as even as one that is drawn."""

from __future__ import annotations

import numpy as np
import pytest

from dataset.samplers.common.permutation import Permutation


@pytest.mark.parametrize("size", [1, 2, 3, 7, 255, 256, 257, 1000, 65537])
def test_every_number_comes_once(size):
    assert np.array_equal(np.sort(Permutation(size, 1, 2)(np.arange(size))), np.arange(size))


def test_an_entry_is_the_same_alone_and_among_others_and_another_for_another_key():
    whole = Permutation(1000, 3, 4)(np.arange(1000))
    assert [int(Permutation(1000, 3, 4)(np.array([place]))[0]) for place in (0, 17, 999)] == whole[
        [0, 17, 999]
    ].tolist()
    for key in ((3, 5), (4, 4), (3,)):
        assert (Permutation(1000, *key)(np.arange(1000)) == whole).mean() < 0.02


@pytest.mark.parametrize("size", [5, 40])
def test_every_entry_is_equally_likely_at_every_place(size):
    draws = 4000
    counts = np.zeros((size, size))
    for key in range(draws):
        counts[np.arange(size), Permutation(size, 9, key)(np.arange(size))] += 1
    expected = draws / size
    chi_square = ((counts - expected) ** 2 / expected).sum()
    freedom = (size - 1) ** 2
    assert abs(chi_square - freedom) < 5 * np.sqrt(2 * freedom)


def test_neighbours_are_not_kept_together():
    entries = Permutation(10000, 1)(np.arange(10000))
    assert abs(np.corrcoef(entries[:-1], entries[1:])[0, 1]) < 0.05
    assert abs(np.corrcoef(entries, np.arange(10000))[0, 1]) < 0.05


def test_one_entry_of_a_hundred_million_is_computed_alone():
    entries = Permutation(10**8, 5)(np.array([0, 10**8 - 1]))
    assert ((entries >= 0) & (entries < 10**8)).all()
