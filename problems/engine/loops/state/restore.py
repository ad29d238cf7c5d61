"""Restore a training from a checkpoint, or start it from the weights of another."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from problems.engine.checkpoints import store, task_state, weights
from problems.engine.checkpoints.parts import Parts, load_parts
from problems.engine.loops.train import TrainLoop
from problems.engine.runtime.environment import as_typed
from problems.engine.runtime.errors import CheckpointError
from tasks.base import Task

log = logging.getLogger(__name__)


def load_weights(folder: Path, task: Task) -> None:
    """Load the weights of model and task from a checkpoint."""
    weights.load_weights(folder / "model", task.model)
    task_state.load_task(folder / "task", task)


def restore_training(loop: TrainLoop, checkpoint: Path, state: Mapping[str, Any]) -> None:
    """Continue from a checkpoint.

    Args:
        state: the checkpoint's state, which was read already.

    Raises:
        CheckpointError: the state is that of another kind of training.
    """
    load_weights(checkpoint, loop.task)
    try:
        loop.load_state_dict(state)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"the state in {checkpoint} does not fit this training: {error}; to start from its weights alone,"
            f" use --fresh --train.init_ckpt_dir {checkpoint}"
        ) from error
    log.info("training continues from step %d (%s)", loop.progress.step, checkpoint)
    if loop.progress.ended:
        log.info(
            "nothing more is trained, as early stopping ended it; %s trains on", as_typed("train.patience", "null")
        )


def start_from_weights(task: Task, checkpoint: Path, chosen: Parts | None = None) -> None:
    """Start from the weights of a checkpoint, or from parts of its model alone; log what is taken and what is left."""
    store.require(checkpoint)
    if chosen is None:
        load_weights(checkpoint, task)
        log.info("training starts from the weights in %s", checkpoint)
        return
    taken, left = load_parts(checkpoint / "model", task.model, chosen)
    log.info("training starts from %d weights in %s: %s", len(taken), checkpoint, ", ".join(taken))
    log.info("%d weights are as they were built: %s", len(left), ", ".join(left) or "none")
