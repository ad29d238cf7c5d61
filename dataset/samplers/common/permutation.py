"""A pseudo-random permutation whose entries are computed one by one, so that none of a hundred million is held."""

from __future__ import annotations

import numpy as np

ROUNDS = 6
LEAST_BITS = 8  # of the domain: halves of one or two bits would give few different permutations


class Permutation:
    """A permutation of 0 ... size - 1 that follows from a key.

    A Feistel network permutes the numbers of an even number of bits; a result outside the range is permuted again
    until it is inside ("cycle walking"; Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002). The
    round function is the finaliser of splitmix64.

    Args:
        size: at least 1.
        key: whole numbers from 0.
    """

    def __init__(self, size: int, *key: int):
        self.size = size
        self.half = np.uint64((max(LEAST_BITS, (size - 1).bit_length()) + 1) // 2)
        self.mask = (np.uint64(1) << self.half) - np.uint64(1)
        self.keys = np.random.SeedSequence(key).generate_state(ROUNDS, np.uint64)

    def __call__(self, places: np.ndarray) -> np.ndarray:
        """The entries at some places: int (N,), each from 0 to size - 1, -> int64 (N,)."""
        values = self._permuted(np.asarray(places).astype(np.uint64))
        outside = np.flatnonzero(values >= self.size)
        while len(outside):
            values[outside] = self._permuted(values[outside])
            outside = outside[values[outside] >= self.size]
        return values.astype(np.int64)

    def _permuted(self, values: np.ndarray) -> np.ndarray:
        left, right = values >> self.half, values & self.mask
        for key in self.keys:
            left, right = right, left ^ (_mixed(right ^ key) & self.mask)
        return (left << self.half) | right


def _mixed(x: np.ndarray) -> np.ndarray:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
