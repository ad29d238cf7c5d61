"""MLflow: ``train.loggers: [mlflow]``."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from problems.engine.config import yaml_text
from problems.engine.loops.monitoring.history import Sink, numbers_in
from problems.engine.loops.monitoring.loggers import kept_id, run_name, sample_text
from problems.engine.runtime.checkpoint_names import name_of


class MLflowRuns(Sink):
    """A run of MLflow, with the config as its artifact ``config.yaml``, and samples as texts.

    Args:
        train_dir: the folder of the training.
        config: the whole config.
        experiment: the experiment of the run.
        name: of the run; None: the last two parts of the target folder.
        tracking_uri: where runs are kept; None: MLflow's own variable ``MLFLOW_TRACKING_URI``, or else the folder
            ``train/mlruns``.
    """

    def __init__(
        self,
        train_dir: Path,
        config: Mapping[str, Any],
        experiment: str = "soundstage",
        name: str | None = None,
        tracking_uri: str | None = None,
    ):
        from mlflow import MlflowClient

        folder = (train_dir / "mlruns").absolute()
        uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
        if uri is None:  # MLflow advises against folders for servers, and wants to hear that one is meant
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
            uri = folder.as_uri()
        self.client = MlflowClient(tracking_uri=uri)

        def create() -> str:
            known = self.client.get_experiment_by_name(experiment)
            id = known.experiment_id if known else self.client.create_experiment(experiment)
            return self.client.create_run(id, run_name=name or run_name(train_dir)).info.run_id

        self.run_id = kept_id(train_dir / "mlflow_run", create)
        self.client.update_run(self.run_id, status="RUNNING")
        self.client.log_text(self.run_id, yaml_text.dump(dict(config)), "config.yaml")

    def log(self, split: str, step: int, epoch: float, values: Mapping[str, Any]) -> None:
        """Send a row."""
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        metrics = [Metric(f"{split}/{name}", float(value), now, step) for name, value in numbers_in(values)]
        self.client.log_batch(self.run_id, metrics=metrics)

    def show(self, step: int, samples: Sequence[Mapping[str, str]]) -> None:
        """Write the samples of a validation as the artifact ``samples/step_<step>.txt``."""
        self.client.log_text(self.run_id, "\n".join(map(sample_text, samples)), f"samples/{name_of(step)}.txt")

    def close(self) -> None:
        """End the run."""
        self.client.set_terminated(self.run_id)
