"""Batches of segments: the common form of the samplers that visit every utterance once an epoch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dataset.samplers.base import NumberedBatchSampler
from dataset.samplers.common.permutation import Permutation

WITHIN, BATCHES = 1, 2  # parts of the keys of permutations


class SegmentBatchSampler(NumberedBatchSampler):
    """Batches of utterances of one segment of an order, every utterance exactly once an epoch.

    Each segment is divided into batches of equal size, up to one utterance. In each epoch the utterances of a segment
    can be permuted, and so can the batches of all segments.

    Args:
        size: the number of utterances.
        starts: the first place of each segment in the order, (S,), from 0.
        batches: the number of batches in each segment, (S,), none above its size.
        order: the utterances, int (size,); None: as they are.
        shuffle_within: permute the utterances of a segment.
        shuffle_batches: permute the batches.
    """

    def __init__(
        self,
        size: int,
        starts: Sequence[int],
        batches: Sequence[int],
        *,
        order: np.ndarray | None = None,
        shuffle_within: bool = True,
        shuffle_batches: bool = True,
    ):
        self.size, self.order = size, order
        self.starts = np.append(np.asarray(starts, dtype=np.int64), size)
        self.firsts = np.concatenate([[0], np.cumsum(batches, dtype=np.int64)])  # the first batch of each segment
        self.shuffle_within, self.shuffle_batches = shuffle_within, shuffle_batches

    def __len__(self) -> int:
        return int(self.firsts[-1])

    def batch(self, seed: int, epoch: int, number: int) -> list[int]:
        """The indices of the utterances of one batch."""
        if self.shuffle_batches:
            number = int(Permutation(len(self), seed, epoch, BATCHES)(np.array([number]))[0])
        segment = int(np.searchsorted(self.firsts, number, side="right")) - 1
        start, size = int(self.starts[segment]), int(self.starts[segment + 1] - self.starts[segment])
        turn, turns = number - int(self.firsts[segment]), int(self.firsts[segment + 1] - self.firsts[segment])
        places = np.arange(turn * size // turns, (turn + 1) * size // turns)
        if self.shuffle_within:
            places = Permutation(size, seed, epoch, WITHIN, segment)(places)
        places = places + start
        return (places if self.order is None else self.order[places]).tolist()

    def utterances(self, seed: int, batches: int) -> Sequence[int]:
        """The indices, in order, of the utterances in the first ``batches`` batches of a training."""
        return range(self.size) if batches >= len(self) else super().utterances(seed, batches)
