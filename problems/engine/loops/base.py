"""Loop and Callback: the forward pass on a device in a precision, and the hooks of both loops.

Hooks have two levels: methods of a loop, overridden in a subclass that a problem names (``train_loop``,
``eval_loop``), and a problem's list of ``callbacks``. Their names are those of SpeechBrain's Brain, where a stage is
a pass over data: an epoch of training, a validation or a test.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from problems.engine.loops.prefetch import to_device
from problems.engine.runtime.errors import ConfigError
from problems.engine.runtime.numerics import autocast
from tasks.base import Mode, StepOutput, Task

Batch = Mapping[str, Any]


class Callback:
    """Code to run at the hooks of any loop. Override the methods that you need.

    The state of a callback with ``state_dict`` and ``load_state_dict`` is saved in checkpoints.
    """

    def on_fit_start(self, loop: Loop) -> None:
        """Before the first step of this run; checkpoints have been loaded."""

    def on_stage_start(self, loop: Loop, mode: Mode) -> None:
        """Before an epoch of training, or before a validation."""

    def on_stage_end(self, loop: Loop, mode: Mode, metrics: Mapping[str, float]) -> None:
        """After an epoch of training (its mean ``loss``), a validation or a test (its metrics)."""

    def on_fit_batch_start(self, loop: Loop, batch: Batch) -> None:
        """Before the forward pass of a training batch."""

    def on_fit_batch_end(self, loop: Loop, batch: Batch, output: StepOutput) -> None:
        """After the backward pass of a training batch; ``output`` is the task's."""

    def on_evaluate_start(self, loop: Loop, mode: Mode) -> None:
        """Before the first batch of a validation or a test."""

    def on_evaluate_end(self, loop: Loop, mode: Mode, records: Mapping[str, list[Any]]) -> None:
        """After the last batch of a validation or a test; ``records`` are those of all utterances."""


class Loop:
    """Runs a task over batches.

    Args:
        task: the task, on its device.
        device: where batches go.
        precision: of the forward pass: ``fp32``, ``bf16`` or ``fp16``.
        callbacks: called in order, each after the loop's own method of the same name.
    """

    def __init__(
        self, task: Task, device: torch.device, precision: str = "fp32", callbacks: Sequence[Callback] = ()
    ) -> None:
        self.task, self.device, self.precision, self.callbacks = task, device, precision, list(callbacks)

    def hook(self, name: str, *values: Any) -> None:
        """Call the loop's method ``name``, then that of each callback."""
        getattr(self, name)(*values)
        for callback in self.callbacks:
            getattr(callback, name)(self, *values)

    def make_dataloader(self, dataset: Dataset, **options: Any) -> DataLoader:
        """Return the data loader of a dataset. ``options``: the arguments of torch's DataLoader."""
        return DataLoader(dataset, **options)

    def forward(self, mode: Mode, batch: Batch) -> StepOutput:
        """Return the task's output for a batch."""
        with autocast(self.device, self.precision):
            try:
                return self.task(mode, **to_device(batch, self.device))
            except RuntimeError as error:
                if self.precision != "fp32" and "primitive descriptor" in str(error):
                    raise ConfigError(
                        f"precision {self.precision} is not supported for this model on {self.device.type}; use fp32"
                    ) from error
                raise

    @contextlib.contextmanager
    def evaluating(self) -> Iterator[None]:
        """Put the task into evaluation mode for a ``with`` block."""
        was_training = self.task.training
        self.task.eval()
        try:
            yield
        finally:
            self.task.train(was_training)
