"""The members of classes: utterances by speaker, label or any other column, visited in turn."""

from __future__ import annotations

import numpy as np

from dataset.samplers.common.permutation import Permutation

MEMBERS = 4  # part of the keys of permutations


class Members:
    """The utterances of each class.

    Args:
        values: the class of each utterance, (N,).
        least: classes with fewer utterances are left out.

    Attributes:
        order: the utterances, class by class, int (N,). starts: the first place of each class in it, (C + 1,).
    """

    def __init__(self, values: np.ndarray, least: int = 1):
        codes = np.unique(values, return_inverse=True)[1]
        sizes = np.bincount(codes)
        order = np.argsort(codes, kind="stable")
        kept = sizes >= least
        self.order = order[kept[codes[order]]].astype(np.int32)
        self.sizes = sizes[kept]
        self.starts = np.concatenate([[0], np.cumsum(self.sizes)])

    def __len__(self) -> int:
        return len(self.sizes)

    def visited(self, seed: int, classes: np.ndarray, visits: np.ndarray) -> np.ndarray:
        """The utterance of each class at its visit of that number, from 0: int (M,), int (M,) -> int (M,).

        All members of a class are visited, in another order each time, before one is visited again.
        """
        chosen = np.empty(len(classes), dtype=np.int64)
        rounds = visits // self.sizes[classes]
        keys = np.stack([classes, rounds])
        for number in np.unique(keys, axis=1).T:
            own = np.flatnonzero((keys == number[:, None]).all(axis=0))
            size = int(self.sizes[number[0]])
            places = Permutation(size, seed, MEMBERS, *map(int, number))(visits[own] % size)
            chosen[own] = self.order[self.starts[number[0]] + places]
        return chosen
