"""What training and evaluation share: batches on their device, in their precision, and the places to hook in.

There are two levels of hooks: methods of a loop, to be overridden in a subclass that a problem names
(``train_loop``, ``eval_loop``), and callbacks, of which a problem has a list (``callbacks``).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader

from problems.engine.loops.prefetch import to_device
from problems.engine.runtime.errors import ConfigError
from problems.engine.runtime.numerics import autocast
from tasks.base import Mode

Batch = Mapping[str, Any]


class Callback:
    """Something that happens at places of a loop, whatever the loop. Override what is wanted.

    A callback with ``state_dict`` and ``load_state_dict`` has its state kept in checkpoints.
    """

    def on_fit_start(self, loop: Any) -> None:
        """Before the first step of this run; checkpoints have been loaded."""

    def on_stage_start(self, loop: Any, mode: Mode) -> None:
        """Before an epoch of training, or before a validation."""

    def on_stage_end(self, loop: Any, mode: Mode, metrics: Mapping[str, float]) -> None:
        """After an epoch of training (its mean ``loss``), or after a validation (its metrics)."""

    def on_fit_batch_start(self, loop: Any, batch: Batch) -> None:
        """Before the forward pass of a training batch."""

    def on_fit_batch_end(self, loop: Any, batch: Batch, output: Any) -> None:
        """After the backward pass of a training batch; ``output`` is the task's."""

    def on_evaluate_start(self, loop: Any, mode: Mode) -> None:
        """Before the first batch of a validation or a test."""


class Loop:
    """A task over batches.

    Args:
        task: the task, on its device.
        device: where batches go.
        precision: ``fp32``, ``bf16`` or ``fp16``, of the forward pass.
        callbacks: called in their order, after the loop's own method of the same name.
    """

    def __init__(
        self, task: Any, device: torch.device, precision: str = "fp32", callbacks: Sequence[Callback] = ()
    ) -> None:
        self.task, self.device, self.precision, self.callbacks = task, device, precision, list(callbacks)

    def hook(self, name: str, *values: Any) -> None:
        """Call the loop's own method ``name``, then that of each callback."""
        getattr(self, name)(*values)
        for callback in self.callbacks:
            getattr(callback, name)(self, *values)

    def make_dataloader(self, dataset: Any, **options: Any) -> DataLoader:
        """The loader of a dataset whose batch sampler and collate function are among ``options``."""
        return DataLoader(dataset, **options)

    def forward(self, mode: Mode, batch: Batch) -> Any:
        """The task's output for a batch, in this loop's precision."""
        with autocast(self.device, self.precision):
            try:
                return self.task(mode, **to_device(batch, self.device))
            except RuntimeError as error:
                if self.precision != "fp32" and "primitive descriptor" in str(error):
                    raise ConfigError(
                        f"precision {self.precision}: this {self.device.type} cannot compute the model so: take another"
                    ) from error
                raise

    @contextlib.contextmanager
    def evaluating(self) -> Iterator[None]:
        """The task in evaluation mode inside."""
        was_training = self.task.training
        self.task.eval()
        try:
            yield
        finally:
            self.task.train(was_training)
