"""Batches that fail: which failures are survived, how they are counted and named, when they are too many."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from dataset.loader import Unreadable
from problems.engine.loops.progress import Progress
from problems.engine.runtime.errors import ConfigError, Interrupted, TrainingError
from problems.engine.runtime.memory import is_out_of_memory

log = logging.getLogger(__name__)


@dataclasses.dataclass
class Lost:
    """A batch that came to nothing, as far as another process needs to know it."""

    memory: bool
    text: str


def lost(batch: Mapping[str, Any] | Unreadable, error: Exception, skip_errors: bool, may_lose: bool = True) -> Lost:
    """The batch as lost, where its failure is one to survive; otherwise the error goes on.

    Memory that ran out is always survived, other errors where ``skip_errors`` says so; none where the batch is not this
    process's to lose (``may_lose``), and none that is the config's fault.
    """
    memory = is_out_of_memory(error)
    if isinstance(error, (Interrupted, ConfigError)) or not (may_lose and (memory or skip_errors)):
        raise error
    if memory and torch.cuda.is_available():
        torch.cuda.empty_cache()
    log.debug("a batch is lost", exc_info=error)
    said = (str(error).splitlines() or [""])[0]
    what = "out of memory" if memory else f"{type(error).__name__}: {said}"
    if isinstance(batch, Unreadable):
        return Lost(memory, f"{what}: utterances {', '.join(batch.ids)}")
    shapes = {k: tuple(v.shape) for k, v in batch.items() if isinstance(v, torch.Tensor)}
    ids = [str(i) for i in batch.get("id", [])]
    return Lost(memory, f"{what}: {shapes}, utterances {', '.join(ids) or 'without an id'}")


def count(progress: Progress, everyones: Sequence[Lost], nothing_left: bool, patience: int) -> None:
    """Count the batches that all processes lost in a step, name them, and end where too many steps came to nothing.

    Raises:
        TrainingError: more such steps in a row than ``patience`` allows; every process raises it.
    """
    memory = sum(one.memory for one in everyones)
    progress.out_of_memory += memory
    progress.errors += len(everyones) - memory
    progress.lost_in_a_row = progress.lost_in_a_row + 1 if nothing_left and everyones else 0
    so_far = progress.out_of_memory + progress.errors
    for one in everyones:
        log.warning("a batch of step %d is left out (%d so far): %s", progress.step + 1, so_far, one.text)
    if progress.lost_in_a_row <= patience:
        return
    reason, advice = f"{progress.lost_in_a_row} steps in a row lost all their batches", "see to the errors above"
    if memory:
        reason = f"memory ran out for {progress.lost_in_a_row} steps in a row"
        advice = "make batches smaller (build_batch_sampler.train.max_seconds), or the model"
    raise TrainingError(
        f"step {progress.step + 1}: {reason}, more than train.nonfinite_patience {patience} allows: {advice}"
    )
