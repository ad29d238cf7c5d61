"""Weights & Biases: ``train.loggers: [wandb]``."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from problems.engine.loops.monitoring.history import Sink, numbers_in
from problems.engine.loops.monitoring.loggers import kept_id, run_name


class WeightsAndBiases(Sink):
    """A run of wandb in ``train/wandb``.

    Nothing is sent unless that is asked for, by ``mode: online`` or wandb's own variable ``WANDB_MODE``; ``wandb sync``
    sends it later.

    Args:
        train_dir: the folder of the training.
        config: the whole config, shown with the run.
        project: the project of the run.
        entity: its owner; None: that of the account.
        name: of the run; None: the last two parts of the target folder.
        mode: online, offline or disabled; None: ``WANDB_MODE``, or else offline.
    """

    def __init__(
        self,
        train_dir: Path,
        config: Mapping[str, Any],
        project: str = "soundstage",
        entity: str | None = None,
        name: str | None = None,
        mode: str | None = None,
    ):
        import wandb

        self.run = wandb.init(
            project=project,
            entity=entity,
            name=name or run_name(train_dir),
            id=kept_id(train_dir / "wandb_run", lambda: uuid.uuid4().hex[:16]),
            resume="allow",
            dir=str(train_dir),
            mode=mode or os.environ.get("WANDB_MODE") or "offline",
            config=dict(config),
            settings=wandb.Settings(console="off", silent=True),
        )
        self.run.define_metric("*", step_metric="step")  # wandb's own count goes on after a resume, ours goes back

    def log(self, split: str, step: int, epoch: float, values: Mapping[str, Any]) -> None:
        """Send a row."""
        self.run.log({f"{split}/{name}": value for name, value in numbers_in(values)} | {"step": step, "epoch": epoch})

    def show(self, step: int, samples: Sequence[Mapping[str, str]]) -> None:
        """Send the samples of a validation as a table."""
        import wandb

        columns = ["id", "reference", "hypothesis"]
        table = wandb.Table(columns=columns, data=[[row[name] for name in columns] for row in samples])
        self.run.log({"samples": table, "step": step})

    def close(self) -> None:
        """End."""
        self.run.finish()
