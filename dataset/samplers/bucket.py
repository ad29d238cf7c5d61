"""Bucket batches: utterances of similar length together, others of them each epoch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dataset.samplers.base import Limits, by_length, lengths_of, whole
from dataset.samplers.common.segments import SegmentBatchSampler

ALIKE = 0.02
"""Lengths that differ by less are not told apart: otherwise the order of the data would decide on equal ones."""
SPREAD = 0.25  # of the lengths in a bucket if batches are limited by seconds, so that few are far from full


class BucketBatchSampler(SegmentBatchSampler):
    """Batches of utterances of one bucket of lengths, in another order each epoch.

    The buckets are quantiles of the lengths. If the padded length of batches is limited, a bucket also ends where
    lengths have become a fifth shorter.

    Args:
        dataset: with ``seconds``.
        batch_size: largest number of utterances in a batch; None: no limit.
        max_seconds: largest number of utterances times the longest of them; None: no limit. A longer utterance is a
            batch of its own.
        buckets: number of quantiles; more of them pad less, and mix less
    """

    def __init__(self, dataset: Any, batch_size: int | None, max_seconds: float | None, buckets: int = 10):
        seconds, limits = lengths_of(dataset), Limits(batch_size, max_seconds)
        share = math.ceil(len(seconds) / whole("buckets", buckets, 1))
        order = by_length(seconds, dataset)
        spread = math.inf if max_seconds is None else SPREAD
        starts, batches = similar_lengths(seconds[order], limits, share=share, spread=spread)
        super().__init__(len(seconds), starts, batches, order=order)


def similar_lengths(
    lengths: np.ndarray, limits: Limits, *, share: float = math.inf, spread: float = math.inf
) -> tuple[list[int], list[int]]:
    """Divide lengths, from the longest down, into segments of full batches; the last may end with a smaller one.

    Args:
        share: about how many utterances a segment has at most.
        spread: by about what part the longest of a segment is longer than the shortest, at most.

    Returns:
        The first place of each segment, and its number of batches.
    """
    starts, batches, place, falling = [], [], 0, -lengths
    while place < len(lengths):
        longest = float(lengths[place])
        size = limits.size(longest)
        last = float(lengths[min(len(lengths), place + min(share, len(lengths))) - 1])
        shortest = max(longest / (1 + spread), last * (1 - ALIKE))
        similar = int(np.searchsorted(falling, -shortest, side="right")) - place
        end = min(len(lengths), place + max(1, round(similar / size)) * size)
        starts.append(place)
        batches.append(math.ceil((end - place) / size))
        place = end
    return starts, batches
