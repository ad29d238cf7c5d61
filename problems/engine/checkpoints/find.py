"""Find the checkpoint that a path means."""

from __future__ import annotations

from pathlib import Path

from problems.engine.checkpoints import store
from problems.engine.runtime.errors import CheckpointError


def find(folder: Path) -> Path:
    """The checkpoint ``folder``, or the best one of a training or target folder.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    folder = Path(folder)
    if (folder / "model").is_dir():
        return store.require(folder)
    for train_dir in (folder, folder / "train"):
        if store.steps_in(train_dir):
            return store.best(train_dir)
    raise CheckpointError(
        f"{folder} is not a checkpoint and contains none: expected a folder like .../train/step_00001000"
    )
