"""One optimizer step: the batches of a window forward and backward, on every process, and the weights moved.

Gradients are summed over the window's units (utterances or tokens, as the task weighs them) and divided by their
number, so that a window of any shape counts each unit once. Nothing in a step waits for a GPU: losses and counts stay
there until a line of the history needs them.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from dataset.loader import Unreadable
from problems.engine.loops import failed_batches
from problems.engine.loops.base import Batch, Callback, Loop
from problems.engine.loops.failed_batches import Lost
from problems.engine.loops.progress import Progress
from problems.engine.optim.ema import EMA
from problems.engine.optim.optimizers import MAIN, lr_schedules
from problems.engine.optim.scheduled_optimizer import Guard, OptimScheduler
from problems.engine.runtime import distributed
from problems.engine.runtime.errors import ConfigError, TrainingError
from problems.engine.runtime.numerics import scaler_of
from problems.engine.runtime.stop_signals import StopRequest
from tasks.base import Mode

log = logging.getLogger(__name__)

Window = list[tuple[Batch | Unreadable, bool]]
"""Batches, each with whether it counts."""


class WindowLoop(Loop):
    """Takes optimizer steps. Its public methods are there to be overridden.

    Args:
        task: the task, on its device.
        make_optimizers: builds the optimizers over a task's parameters.
        train: the config's section ``train``, ``total_steps`` filled in.
        device: where batches go.
        callbacks: called at the same places as the loop's own hooks.
    """

    def __init__(
        self,
        task: Any,
        make_optimizers: Callable[[Any], list[OptimScheduler]],
        train: Mapping[str, Any],
        device: torch.device,
        callbacks: Sequence[Callback] = (),
    ):
        super().__init__(task, device, train["precision"], callbacks)
        self.make_optimizers, self.train = make_optimizers, train
        self.optimizers = self.init_optimizers()
        self.scaler = scaler_of(device, self.precision)
        self.ema = EMA(self.parameters, train["ema"]) if train["ema"] else None
        self.world, self.progress = distributed.world(), Progress()
        self.stop, self.asked_to_stop, self.save_now = StopRequest(), False, False
        self.guard, self.grad_norm = Guard(device), torch.zeros(())
        self._never_finite = set(self._not_finite())  # a mask of -inf is as it should be
        self._sums = torch.zeros(2, dtype=torch.float64, device=device)  # loss and units since they were last read
        self._saved_at = time.monotonic()

    @functools.cached_property
    def parameters(self) -> list[torch.nn.Parameter]:
        """What the optimizers move."""
        return [p for one in self.optimizers for p in one.parameters]

    # ---- hooks ----

    def on_fit_batch_start(self, batch: Batch) -> None:
        """Before the forward pass of a batch."""

    def on_fit_batch_end(self, batch: Batch, output: Any) -> None:
        """After the backward pass of a batch."""

    def init_optimizers(self) -> list[OptimScheduler]:
        """The optimizers, each with its schedule and its parameters."""
        return self.make_optimizers(self.task)

    def freeze_optimizers(self, optimizers: list[OptimScheduler]) -> list[OptimScheduler]:
        """Those of the optimizers that act in this step; for the others its gradients do not count."""
        return optimizers

    def zero_grad(self) -> None:
        """Drop all gradients."""
        self.task.zero_grad(set_to_none=True)

    def fit_batch(self, batch: Batch, units: Callable[[Any], float]) -> Any:
        """One batch forward and backward, its gradients added to those of the window; gives the task's output.

        Args:
            units: from the task's output to the units that it counts for.
        """
        output = self.forward(Mode.TRAIN, batch)
        self.backward(output, units(output))
        return output

    def check_loss_isfinite(self, loss: Tensor) -> Tensor:
        """Whether a batch's loss may be used, as a tensor, so that nobody waits for it."""
        return torch.isfinite(loss)

    def check_gradients(self, norms: list[Tensor]) -> Tensor:
        """Whether the window's gradients may be used, as a tensor. ``norms``: of each optimizer's, summed."""
        return torch.isfinite(torch.stack(norms)).all()

    def optimizers_step(self, units: float) -> None:
        """Sum gradients over the processes and move the weights by their mean over ``units``, or skip the step."""
        distributed.sum_gradients(self.parameters)
        acting = [one for one in self.freeze_optimizers(self.optimizers) if one.gradients]
        if not acting:
            return
        if self.scaler:
            for one in acting:
                self.scaler.unscale_(one.optimizer)
        norms = [one.norm() for one in acting]
        finite = self.check_gradients(norms)
        self.guard.note(finite)
        self._sums += torch.where(finite, self._window, 0.0)
        alone = all(one.skips_itself and one.step_per_update == 1 for one in acting)
        if alone or bool(finite):
            for one, norm in zip(acting, norms):
                if one.due(self.progress.step + 1):
                    self.grad_norm = one.update(units, norm, finite)
                else:
                    one.hold(units)
            if self.ema:
                self.ema.update()
        else:
            self._read_guard(self.progress.step + 1)
        if self.scaler:
            self.scaler.update()

    # ---- one step ----

    def fit_window(self, window: Window) -> None:
        """One optimizer step over the batches of a window, of all processes."""
        if hasattr(self.task.model, "set_step"):
            self.task.model.set_step(self.progress.step)
        self.zero_grad()
        self._window, units, losts = torch.zeros_like(self._sums), 0.0, []
        held = any(one.step_per_update > 1 for one in self.optimizers)
        self.plain = len(window) == 1 and self.world.size == 1 and not held  # the mean is the batch's own
        for batch, counts in window:
            self._touched = False
            try:
                units += self._fit_one(batch, counts)
            except Exception as error:
                losts.append(failed_batches.lost(batch, error, self.train["skip_errors"], self._may_lose))
                if self._touched:  # some gradients hold a part of this batch, and nobody can tell which
                    losts[-1].text += f" (with {units:g} units before it in its step)" if units else ""
                    self.zero_grad()
                    units, self._window = 0.0, torch.zeros_like(self._sums)
        everyone = self._agree(units, losts)
        if everyone > 0:
            self.optimizers_step(1.0 if self.plain else everyone)
        self.progress.step += 1
        if self.progress.step <= self.train["total_steps"]:  # some schedules of torch refuse to go past it
            self._advance(lr_schedules.STEP)

    def _fit_one(self, batch: Batch | Unreadable, counts: bool) -> float:
        """One batch of the window; how many units it counts for."""
        if isinstance(batch, Unreadable):
            raise batch.error
        self.hook("on_fit_batch_start", batch)
        output = self.fit_batch(batch, lambda output: float(output.weight) if counts else 0.0)
        self.hook("on_fit_batch_end", batch, output)
        units = float(output.weight) if counts else 0.0
        self._window += torch.stack([output.loss.detach().double() * units, self._sums.new_tensor(units)])
        self._touched = False
        return units

    def backward(self, output: Any, units: float) -> None:
        """Add the gradients of the summed loss; one that is not finite makes all of them so, on every process."""
        self._touched = True
        losses = {name: self._loss(output, name) for name in self._loss_names}
        for number, (name, loss) in enumerate(losses.items(), 1):
            loss = loss * torch.where(self.check_loss_isfinite(loss), 1.0, torch.nan)
            loss = loss if self.plain else loss * units
            loss = self.scaler.scale(loss) if self.scaler else loss
            if len(losses) == 1:
                loss.backward()
                continue
            own = [p for one in self.optimizers if one.loss == name for p in one.parameters]
            found = torch.autograd.grad(loss, own, retain_graph=number < len(losses), allow_unused=True)
            for p, gradient in zip(own, found):
                if gradient is not None:
                    p.grad = gradient if p.grad is None else p.grad + gradient

    def _loss(self, output: Any, name: str) -> Tensor:
        if name != MAIN and name not in output.losses:
            there = ", ".join(output.losses) or "none"
            raise ConfigError(f"optim_loss: the task gives no loss {name!r} in output.losses; it gives {there}")
        return output.loss if name == MAIN else output.losses[name]

    @property
    def _may_lose(self) -> bool:
        """Whether a batch may come to nothing on this process alone: not where the forward pass waits for others."""
        return not (self.train["sync_batchnorm"] and self.world.size > 1)

    @functools.cached_property
    def _loss_names(self) -> list[str]:
        return list(dict.fromkeys(one.loss for one in self.optimizers))

    def _agree(self, units: float, losts: list[Lost]) -> float:
        """Tell the other processes of a step what they must know of this one; the units of all."""
        minutes = self.train["save_minutes"]
        late = self.world.main and minutes is not None and time.monotonic() - self._saved_at > 60 * minutes
        everyone, stopping, saving, failed = distributed.total([units, bool(self.stop), late, len(losts)])
        self.asked_to_stop, self.save_now = stopping > 0, saving > 0
        every = [one for share in distributed.gather(losts) for one in share] if failed else []
        failed_batches.count(self.progress, every, everyone == 0, self.train["nonfinite_patience"])
        return everyone

    # ---- what the device counted ----

    def _not_finite(self) -> list[str]:
        """The buffers that hold values which are not finite."""
        floating = ((n, b) for n, b in self.task.named_buffers() if b.is_floating_point())
        return [name for name, buffer in floating if not torch.isfinite(buffer).all()]

    def _read_guard(self, step: int) -> None:
        """Count the steps up to ``step`` that were skipped; past the patience the run ends, its weights unharmed."""
        progress = self.progress
        everything, progress.nonfinite_in_a_row, longest = self.guard.read()
        new, progress.nonfinite = everything - progress.nonfinite, everything
        if not new:
            return
        where = f"step {step} (epoch {progress.epochs:.2f})"
        searching = self.scaler is not None and self.scaler.get_scale() > 1  # fp16 finds its scale by such steps
        patience = self.train["nonfinite_patience"]
        if longest > patience and not searching:
            raise TrainingError(
                f"{where}: the gradients are not finite, for {longest} steps in a row now,"
                f" more than train.nonfinite_patience {patience} allows. The weights are unharmed:"
                " lower build_optimizer.conf.lr, or look for bad audio or labels"
            )
        harmed = [name for name in self._not_finite() if name not in self._never_finite]
        if harmed:
            raise TrainingError(
                f"{where}: the batch put values that are not finite into {harmed[0]}; resume from the last checkpoint"
            )
        skipped = f"{where} is skipped" if new == 1 else f"{new} steps up to {where} were skipped"
        log.warning("%s: gradients not finite (%d so far)", skipped, progress.nonfinite)

    def read_loss(self) -> float:
        """The mean loss since it was last read or logged; every process must ask for it."""
        self._read_sums()
        progress = self.progress
        loss, units = distributed.total([progress.loss_sum, progress.weight_sum])
        progress.loss_sum = progress.weight_sum = 0.0
        return loss / units if units else float("nan")

    def _read_sums(self) -> None:
        """Bring the losses of all processes into the first one's sums: the only wait for the device."""
        progress = self.progress
        self._read_guard(progress.step)
        loss, units = distributed.total(self._sums.tolist())
        if self.world.main:
            progress.loss_sum, progress.weight_sum = progress.loss_sum + loss, progress.weight_sum + units
            progress.epoch_loss_sum, progress.epoch_weight_sum = (
                progress.epoch_loss_sum + loss,
                progress.epoch_weight_sum + units,
            )
        self._sums.zero_()
