"""One optimizer step over a window of batches: its sums, its gradients and the steps that are skipped.

A window is the batches between two optimizer steps, of all processes. Its gradient is the mean over its units
(utterances or tokens, as the task weighs its loss):

    g = sum_b(u_b * grad L_b) / sum_b(u_b)

b: batches of the window; L_b: the mean loss of batch b; u_b: its units. Each unit counts once, whatever the window's
shape. Nothing here waits for a GPU: losses and counts stay there until a line of the history needs them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from dataset.loader import Unreadable
from problems.engine.loops.base import Batch
from problems.engine.loops.state.progress import Progress
from problems.engine.loops.window.failed_batches import BatchFailure
from problems.engine.loops.window.named_sums import NamedSums
from problems.engine.loops.window.sub_batches import SubBatches
from problems.engine.optim.nonfinite import SkippedSteps
from problems.engine.optim.optimizers import MAIN
from problems.engine.optim.scheduled_optimizer import OptimScheduler
from problems.engine.runtime import distributed
from problems.engine.runtime.errors import ConfigError, DivergedError
from tasks.base import StepOutput, Task

log = logging.getLogger(__name__)

Window = list[tuple[Batch | SubBatches | Unreadable, bool]]
"""Batches, each with True if it counts; the others only keep this process in step with those that have a batch."""


class GradientWindow:
    """The sums of the batches of the step under way, on this process.

    Args:
        device: where the losses are.
    """

    def __init__(self, device: torch.device):
        self.is_unscaled = False
        """True if the mean over the window is that of its only batch, so that nothing needs to be scaled."""
        self.is_torn = False
        """True if the gradients hold a part of a batch that is not added yet."""
        self.units = 0.0
        self.sums = torch.zeros(2, dtype=torch.float64, device=device)
        """The summed loss and the units, on the device."""
        self.named = NamedSums()
        self.failures: list[BatchFailure] = []

    def open(self, is_unscaled: bool) -> None:
        """Begin a window."""
        self.is_unscaled, self.failures = is_unscaled, []
        self.discard()

    def scaled(self, loss: Tensor, units: float) -> Tensor:
        """The loss whose gradient is added to the window's: u_b * L_b."""
        return loss if self.is_unscaled else loss * units

    def add(self, output: StepOutput, units: float, of_set: str | None = None) -> None:
        """Add a batch whose gradients are complete; its loss also by the name of its set, if it is a sub-batch."""
        loss = output.loss
        of_set = {} if of_set is None else {f"loss/{of_set}": loss}
        self.named.add({**output.losses, **output.metrics, **of_set}, units)
        # full_like, as a tensor made of a number on the host would wait for the device
        self.sums += torch.stack([loss.detach().double() * units, torch.full_like(self.sums[0], units)])
        self.units += units
        self.is_torn = False

    def discard(self) -> None:
        """Drop the batches added so far; the caller drops their gradients."""
        self.sums, self.units, self.is_torn = torch.zeros_like(self.sums), 0.0, False
        self.named = NamedSums()

    def agree(self, *flags: bool) -> tuple[float, list[bool], list[BatchFailure]]:
        """Return the units of all processes, each flag's any() over the processes, and the failures of all."""
        units, *raised, failures = distributed.total([self.units, *flags, len(self.failures)])
        shares = distributed.gather(self.failures) if failures else []
        return units, [count > 0 for count in raised], [failure for share in shares for failure in share]


def named_loss(output: StepOutput, name: str) -> Tensor:
    """Return the loss of a task's output that an optimizer's ``optim_loss`` names."""
    if name == MAIN:
        return output.loss
    if name not in output.losses:
        names = ", ".join(output.losses) or "none"
        raise ConfigError(f"optim_loss: the task's output.losses has no {name!r}; it has: {names}")
    return output.losses[name]


def add_gradients(losses: Mapping[str, Tensor], optimizers: Sequence[OptimScheduler]) -> None:
    """Add the gradients of each loss to the parameters of the optimizers that minimize it.

    Args:
        losses: by name. A single one reaches all parameters.
    """
    if len(losses) == 1:
        next(iter(losses.values())).backward()
        return
    for number, (name, loss) in enumerate(losses.items(), 1):
        parameters = [p for optimizer in optimizers if optimizer.loss == name for p in optimizer.parameters]
        gradients = torch.autograd.grad(loss, parameters, retain_graph=number < len(losses), allow_unused=True)
        for p, gradient in zip(parameters, gradients):
            if gradient is not None:
                p.grad = gradient if p.grad is None else p.grad + gradient


class StepTotals:
    """The steps since the totals were last read: their loss and units, and how many were skipped. All on the device.

    Args:
        task: its buffers must stay finite.
        device: where the losses are.
        patience: steps in a row that may be skipped.
    """

    def __init__(self, task: Task, device: torch.device, patience: int):
        self.task, self.patience = task, patience
        self.skipped = SkippedSteps(device)
        self.sums = torch.zeros(2, dtype=torch.float64, device=device)
        self.named = NamedSums()
        self.never_finite = set(self._non_finite_buffers())  # a mask of -inf is as it should be

    def add(self, window: GradientWindow, is_finite: Tensor) -> None:
        """Add a step; a skipped one only counts as such."""
        self.skipped.add(is_finite)
        self.sums += window.sums.masked_fill(~is_finite, 0.0)
        self.named.join(window.named, is_finite)

    def read(self, progress: Progress, is_main: bool, is_searching_scale: bool) -> None:
        """Move the totals of all processes into the main one's progress: the only wait for the device."""
        self.read_skipped(progress, progress.step, is_searching_scale)
        loss, units = distributed.total(self.sums.tolist())
        named = self.named.take()
        if is_main:
            progress.add_loss(loss, units)
            progress.add_named(named)
        self.sums = torch.zeros_like(self.sums)

    def read_skipped(self, progress: Progress, step: int, is_searching_scale: bool) -> None:
        """Count the steps up to ``step`` that were skipped.

        Args:
            is_searching_scale: True while fp16 searches its loss scale; it does so by skipping steps.

        Raises:
            DivergedError: more steps in a row than the patience allows, or a buffer is no longer finite. The weights
                are those before the skipped steps.
        """
        counts = self.skipped.read()
        new, longest = counts.total - progress.nonfinite, counts.longest_row
        progress.nonfinite, progress.nonfinite_in_a_row = counts.total, counts.in_a_row
        if not new:
            return
        position = f"step {step} (epoch {progress.epochs:.2f})"
        if longest > self.patience and not is_searching_scale:
            raise DivergedError(
                f"{position}: non-finite gradients in {longest} steps in a row, more than train.nonfinite_patience"
                f" {self.patience} allows. The weights are unharmed: lower build_optimizer.conf.lr, or look for bad"
                " audio or labels"
            )
        harmed = [name for name in self._non_finite_buffers() if name not in self.never_finite]
        if harmed:
            raise DivergedError(
                f"{position}: non-finite values in buffer {harmed[0]} after this batch; resume from the last checkpoint"
            )
        steps = f"{position} is skipped" if new == 1 else f"{new} steps up to {position} were skipped"
        log.warning("%s: non-finite gradients (%d so far)", steps, progress.nonfinite)

    def _non_finite_buffers(self) -> list[str]:
        floating = ((name, buffer) for name, buffer in self.task.named_buffers() if buffer.is_floating_point())
        return [name for name, buffer in floating if not torch.isfinite(buffer).all()]
