"""The state of a training in a checkpoint: all that the next step depends on beside the weights."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from dataset import seeding
from problems.engine.checkpoints import store
from problems.engine.checkpoints.background import copied, later
from problems.engine.loops.state.progress import Progress
from problems.engine.runtime import distributed
from problems.engine.runtime.checkpoint_names import step_of
from problems.engine.runtime.errors import CheckpointError
from problems.engine.runtime.sharded import gathered

if TYPE_CHECKING:
    from problems.engine.loops.train import TrainLoop

log = logging.getLogger(__name__)

FILE = "training.pt"


def write(state: Mapping[str, Any], folder: Path) -> None:
    """Copy a state and write it into a checkpoint's folder, now or :func:`.background.later`."""
    copy = copied(state)
    later(lambda: torch.save(copy, folder / FILE))


def require(folder: Path) -> None:
    """Check that a checkpoint has a state.

    Raises:
        CheckpointError: it has none, as an average of checkpoints.
    """
    if not (folder / FILE).is_file():
        raise CheckpointError(
            f"the checkpoint {folder} has no {FILE}; to start from its weights alone, use"
            f" --train.init_ckpt_dir {folder}"
        )


def read(folder: Path) -> dict[str, Any]:
    """Read the state in a checkpoint's folder.

    Raises:
        CheckpointError: it has none, as an average of checkpoints.
    """
    require(folder)
    # to the CPU: the optimizer moves what belongs on the device, and its step counts stay where they are fast
    return torch.load(folder / FILE, map_location="cpu", weights_only=True)


def newest_everywhere(train_dir: Path) -> Path | None:
    """Return the newest whole checkpoint that every process has; None without any checkpoint.

    If machines do not share files, a kill may have left one more on one of them.
    """
    newest = store.newest(train_dir)
    if len(set(distributed.gather(newest and newest.name))) == 1:
        return newest
    whole = {step_of(folder): folder for folder in store.steps_in(train_dir) if store.damage(folder) is None}
    common = set.intersection(*map(set, distributed.gather(list(whole))))
    if not common:
        raise CheckpointError(
            f"no checkpoint in {train_dir} exists on every machine; use --fresh to move the training aside and start"
            " over"
        )
    return whole[max(common)]


def state_of(loop: TrainLoop) -> dict[str, Any]:
    """Return the state of all processes; every process must call it."""
    loop.read_totals()
    if loop.budget:
        loop.progress.seconds = loop.budget.used()
    return {
        "progress": dataclasses.asdict(loop.progress),
        "total_steps": loop.train["total_steps"],
        "budget": loop.budget and loop.budget.seconds,
        "ranking": loop.cadence.checkpoints.state(),
        "optimizers": _whole(loop, [optimizer.state_dict() for optimizer in loop.optimizers]),
        "scaler": loop.scaler.state_dict() if loop.scaler else None,
        "ema": _whole(loop, loop.ema.state_dict()) if loop.ema else None,
        "callbacks": [c.state_dict() if hasattr(c, "state_dict") else None for c in loop.callbacks],
        "rng": distributed.gather(seeding.get_state()),
    }


def _whole(loop: TrainLoop, state: Any) -> Any:
    return gathered(state, keeps=loop.world.writes) if loop.sharding else state


def restore(loop: TrainLoop, state: Mapping[str, Any]) -> None:
    """Restore what :func:`state_of` returned into a loop whose weights are loaded."""
    progress = loop.progress = Progress(**state["progress"])
    progress.ended = loop.cadence.early_stopping.is_over(progress)  # by the patience of this run
    before, now = state["total_steps"], loop.train["total_steps"]
    if before != now and any(optimizer.scheduler for optimizer in loop.optimizers):
        log.info("the schedule is planned again from here: over %d steps in all, not %d", now, before)
    loop.cadence.checkpoints.restore(state["ranking"], writes=loop.world.writes)
    begun = state["optimizers"] or []  # none after a training of no steps, which goes on with new ones
    for optimizer, saved in zip(loop.optimizers if begun else (), begun, strict=True):
        optimizer.load_state_dict(saved)
    if loop.scaler:
        loop.scaler.load_state_dict(state["scaler"])
    if loop.ema:
        loop.ema.load_state_dict(state["ema"])
    if len(state["callbacks"]) != len(loop.callbacks):
        log.warning("this run has %d callbacks, the checkpoint %d", len(loop.callbacks), len(state["callbacks"]))
    for callback, saved in zip(loop.callbacks, state["callbacks"]):
        if saved is not None:
            callback.load_state_dict(saved)
    loop.totals.skipped.restore(progress.nonfinite, progress.nonfinite_in_a_row)
    _restore_generators(loop, state["rng"])


def _restore_generators(loop: TrainLoop, states: list[dict[str, Any]]) -> None:
    rank, size, progress = loop.world.rank, loop.world.size, loop.progress
    if rank:  # the main process holds the sums of all
        progress.take_loss()
        progress.take_named()
        progress.reset_epoch_loss()
    if len(states) != size:
        log.warning("the checkpoint was saved by %d processes; this training continues with %d", len(states), size)
    if rank < len(states):
        seeding.set_state(states[rank])
    else:
        seeding.seed_all(seeding.derive(loop.train["seed"], progress.step, rank))
