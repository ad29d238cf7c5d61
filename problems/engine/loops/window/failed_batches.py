"""Failed batches: which errors are tolerated, how they are counted and logged, and when training aborts."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from dataset.loader import Unreadable
from problems.engine.loops.state.progress import Progress
from problems.engine.runtime.errors import ConfigError, TrainingError
from problems.engine.runtime.memory import is_out_of_memory

log = logging.getLogger(__name__)


@dataclasses.dataclass
class BatchFailure:
    """A batch that is left out of its step.

    Args:
        out_of_memory: True if memory ran out.
        text: the error, and the batch's shapes and utterances.
    """

    out_of_memory: bool
    text: str


def classify_failure(
    batch: Mapping[str, Any] | Unreadable, error: Exception, *, skip_errors: bool, may_skip: bool = True
) -> BatchFailure:
    """Return the failure if it is tolerated; re-raise its error otherwise.

    Running out of memory is always tolerated, a config error never, and other errors with ``skip_errors``.

    Args:
        may_skip: False if this process cannot leave out a batch by itself.
    """
    out_of_memory = is_out_of_memory(error)
    if isinstance(error, ConfigError) or not (may_skip and (out_of_memory or skip_errors)):
        raise error
    if out_of_memory and torch.cuda.is_available():
        torch.cuda.empty_cache()
    log.debug("a batch failed", exc_info=error)
    first_line = (str(error).splitlines() or [""])[0]
    reason = "out of memory" if out_of_memory else f"{type(error).__name__}: {first_line}"
    if isinstance(batch, Unreadable):
        return BatchFailure(out_of_memory, f"{reason}: utterances {', '.join(batch.ids)}")
    shapes = {key: tuple(value.shape) for key, value in batch.items() if isinstance(value, torch.Tensor)}
    ids = ", ".join(str(i) for i in batch.get("id", [])) or "without an id"
    return BatchFailure(out_of_memory, f"{reason}: {shapes}, utterances {ids}")


def count_failures(progress: Progress, failures: Sequence[BatchFailure], is_step_lost: bool, patience: int) -> None:
    """Count and log the failed batches of a step, those of all processes.

    Args:
        is_step_lost: True if no batch of the step is left.
        patience: steps in a row that may be lost.

    Raises:
        TrainingError: more steps in a row were lost; every process raises it.
    """
    out_of_memory = sum(failure.out_of_memory for failure in failures)
    progress.out_of_memory += out_of_memory
    progress.errors += len(failures) - out_of_memory
    progress.lost_in_a_row = progress.lost_in_a_row + 1 if is_step_lost and failures else 0
    so_far = progress.out_of_memory + progress.errors
    for failure in failures:
        log.warning("a batch of step %d is left out (%d so far): %s", progress.step + 1, so_far, failure.text)
    if progress.lost_in_a_row <= patience:
        return
    reason = f"all batches failed in {progress.lost_in_a_row} steps in a row"
    advice = "fix the errors logged above"
    if out_of_memory:
        reason = f"memory ran out in {progress.lost_in_a_row} steps in a row"
        advice = "use smaller batches (build_batch_sampler.train.max_seconds) or a smaller model"
    raise TrainingError(
        f"step {progress.step + 1}: {reason}, more than train.nonfinite_patience {patience} allows: {advice}"
    )
