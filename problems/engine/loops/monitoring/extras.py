"""The parts of monitoring that a config asks for: sample utterances, and loggers beside TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from problems.engine.loops.monitoring import loggers
from problems.engine.loops.monitoring.history import Sink
from problems.engine.loops.monitoring.samples import Samples


class Extras:
    """Samples and loggers of one training.

    Args:
        train: the config's section.
        config: the whole config, which loggers are told; None: ``train``.
    """

    def __init__(self, train: Mapping[str, Any], config: Mapping[str, Any] | None):
        self.samples = Samples(train["samples"]) if train.get("samples") else None
        self.train, self.config = train, train if config is None else config

    def sinks(self, train_dir: Path) -> list[Sink]:
        """The loggers that are asked for, on the main process."""
        return loggers.open_loggers(self.train.get("loggers") or (), train_dir, self.config)

    @property
    def callbacks(self) -> list[Samples]:
        """The callbacks of a validation."""
        return [] if self.samples is None else [self.samples]
