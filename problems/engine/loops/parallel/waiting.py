"""The time that processes wait for each other, because their batches differ in length."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from dataset.protocols import HasSeconds, offers

log = logging.getLogger(__name__)

ROUNDS = 100
"""Rounds of batches that are looked at."""
WORTH_SAYING = 0.1


def share_of_waiting(batches: Sequence[Sequence[int]], seconds: np.ndarray, size: int) -> float:
    """Return the part of their time that processes wait for the one with the longest batch of a round.

    The time of a batch is taken to follow its padded seconds: utterances times the longest.

    Args:
        batches: of an epoch; each process takes every ``size``-th.
        seconds: of each utterance.
        size: the number of processes.
    """
    padded = [len(batch) * seconds[batch].max() for batch in batches[: ROUNDS * size] if len(batch)]
    rounds = [padded[first : first + size] for first in range(0, len(padded) - size + 1, size)]
    longest = size * sum(map(max, rounds))
    return 1 - sum(map(sum, rounds)) / longest if longest else 0.0


def log_waiting(dataset: Any, batches: Sequence[Sequence[int]], size: int) -> None:
    """Log what the processes wait, if it is much, and the batches that would mend it."""
    if size == 1 or not offers(dataset, HasSeconds):
        return
    share = share_of_waiting(batches, np.asarray(dataset.seconds), size)
    if share > WORTH_SAYING:
        log.info(
            "%d processes wait about %.0f %% of the time for the one with the longest batch; batches of equal length"
            " are those of build_batch_sampler.train {name: duration, batch_size: null, max_seconds: SECONDS}",
            size,
            100 * share,
        )
