"""Correlations of two columns of numbers over many weightings at once: Pearson's, Spearman's and Kendall's.

Each function takes weights (R, N), how often each pair counts in each of R draws, with x and y (N,), and returns (R,):
what scipy.stats gives for the repeated pairs. A correlation with a constant column is 0, as nothing is associated.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Correlation = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def pearson(weights: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pearson's linear correlation."""
    varies = _varies(weights, x) & _varies(weights, y)
    x, y = (np.broadcast_to(_scaled(column), weights.shape) for column in (x, y))
    return np.where(varies, _of_rows(weights, x, y), 0.0)


def spearman(weights: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation; equal numbers share the mean of their ranks."""
    varies = _varies(weights, x) & _varies(weights, y)
    return np.where(varies, _of_rows(weights, _ranks(weights, x), _ranks(weights, y)), 0.0)


def kendall(weights: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Kendall's tau-b, by merge sort (Knight, Journal of the American Statistical Association 61, 1966)."""
    codes = [np.unique(column, return_inverse=True)[1].reshape(-1) for column in (x, y)]
    both = codes[0].astype(np.int64) * len(codes[1]) + codes[1]
    pairs = _pairs(weights.sum(axis=1))
    tied_x, tied_y, tied_both = (_pairs(_sums(weights, own)).sum(axis=1) for own in (*codes, both))
    order = np.lexsort((codes[1], codes[0]))
    agreement = pairs - tied_x - tied_y + tied_both - 2 * _inversions(weights[:, order], codes[1][order])
    scale = np.sqrt((pairs - tied_x) * (pairs - tied_y))
    return np.divide(agreement, scale, out=np.zeros(len(weights)), where=scale > 0)


CORRELATIONS: dict[str, Correlation] = {"pearson": pearson, "spearman": spearman, "kendall": kendall}


def _varies(weights: np.ndarray, column: np.ndarray) -> np.ndarray:
    """True for each draw with two different numbers: (R,)."""
    counts = weights > 0
    highest = np.where(counts, column, -np.inf).max(axis=1)
    return highest > np.where(counts, column, np.inf).min(axis=1)


def _scaled(column: np.ndarray) -> np.ndarray:
    """The numbers between -1 and 1, so that no square of them overflows or loses its digits."""
    centred = column - column.mean()
    largest = np.abs(centred).max()
    return centred / largest if largest > 0 else centred


def _of_rows(weights: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pearson's correlation of x and y (R, N), whose means differ between draws: (R,)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        total = weights.sum(axis=1, keepdims=True)
        x, y = (column - (weights * column).sum(axis=1, keepdims=True) / total for column in (x, y))
        weighted = weights * x
        scale = np.sqrt((weighted * x).sum(axis=1)) * np.sqrt((weights * y * y).sum(axis=1))
        return np.clip((weighted * y).sum(axis=1) / scale, -1.0, 1.0)


def _ranks(weights: np.ndarray, column: np.ndarray) -> np.ndarray:
    """The mean rank of each number in each draw, from 1/2 up: (R, N)."""
    codes = np.unique(column, return_inverse=True)[1].reshape(-1)
    sums = _sums(weights, codes)
    return (np.cumsum(sums, axis=1) - sums / 2)[:, codes]


def _sums(weights: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """The weight of each code that occurs, in their order: (R, N), int (N,) -> (R, C)."""
    order = np.argsort(codes, kind="stable")
    firsts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    return np.add.reduceat(weights[:, order], firsts, axis=1)


def _pairs(counts: np.ndarray) -> np.ndarray:
    return counts * (counts - 1) / 2


def _inversions(weights: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """The weight of all pairs of which the first has the higher code: (R, N), int (N,) from 0 -> (R,).

    Each round joins neighbouring blocks of one size: the pairs between a left and a right block are counted by the
    running sum of the left one's weights, from the highest code down.
    """
    places, total, size = np.arange(len(codes)), np.zeros(len(weights)), 1
    while size < len(codes):
        is_right, block = (places // size) % 2, places // (2 * size)
        order = np.lexsort((1 - is_right, -codes, block))  # of equal codes, the right block's first
        right = is_right[order] == 1
        own = weights[:, order]
        above = np.cumsum(np.where(right, 0.0, own), axis=1)
        before = np.concatenate([np.zeros((len(weights), 1)), above], axis=1)[:, block * 2 * size]
        total += (own * (above - before))[:, right].sum(axis=1)
        size *= 2
    return total
