"""TrainLoop: optimizer steps over windows of batches, and the hooks to change them.

Everything that the loop knows is in :class:`Progress` and in what it trains. Both are saved, so that a training that
was interrupted continues as if it had not been.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dataset.loader import Place, Unreadable
from dataset.protocols import offers
from problems.engine.loops import lockstep
from problems.engine.loops.base import Batch, Callback, Loop
from problems.engine.loops.cadence import Cadence
from problems.engine.loops.length.budget import Budget
from problems.engine.loops.monitoring.extras import Extras
from problems.engine.loops.monitoring.step_times import StepTimes
from problems.engine.loops.parallel.reduction import SumAfterwards, reduction_of
from problems.engine.loops.parallel.sharding import Sharding, sharding_of
from problems.engine.loops.prefetch import prefetch
from problems.engine.loops.state import training_state
from problems.engine.loops.state.progress import Progress
from problems.engine.loops.window.failed_batches import classify_failure, count_failures
from problems.engine.loops.window.step import GradientWindow, StepTotals, Window, add_gradients, named_loss
from problems.engine.loops.window.sub_batches import Part, parts_of, with_sets
from problems.engine.optim import lr_schedules
from problems.engine.optim.ema import EMA
from problems.engine.optim.scheduled_optimizer import OptimScheduler
from problems.engine.runtime import distributed
from problems.engine.runtime.numerics import scaler_of
from problems.engine.runtime.stop_signals import StopRequest
from problems.engine.runtime.watchdog import watching
from tasks.base import Mode, StepOutput, Task
from tasks.contracts import StepwiseModel

Stream = Iterator[tuple[Place, Batch | Unreadable]]

_OWN_CADENCE = "override it in a subclass of Cadence, and assign that to self.cadence in __init__"
MOVED = {"after_step": _OWN_CADENCE, "save_checkpoint": _OWN_CADENCE, "fit_window": "override step"}
"""Methods that this loop had once, and what to do in place of overriding them."""


class TrainLoop(Loop):
    """Trains a task. Override its public methods to change how.

    Args:
        task: the task, on its device.
        make_optimizers: builds the optimizers over a task's parameters.
        train: the config's section ``train`` with ``total_steps`` filled in.
        train_dir: the folder of checkpoints and history.
        make_stream: from (epoch, position, make_dataloader) to the batches from there on
            (:func:`dataset.loader.train_stream`).
        validate: returns the validation metrics; None trains without validation.
        save: writes model and task into a checkpoint's folder.
        device: where batches go.
        callbacks: called after the loop's own hooks.
        budget: the time that the run may take, by which the length is planned; None leaves it as ``train`` says.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a method that is no longer called.

        Raises:
            TypeError: the subclass has one of :data:`MOVED`.
        """
        super().__init_subclass__(**kwargs)
        for name, advice in MOVED.items():
            if hasattr(cls, name):
                raise TypeError(f"{cls.__name__}.{name} would never be called: {advice}")

    def __init__(
        self,
        task: Task,
        make_optimizers: Callable[[Task], list[OptimScheduler]],
        train: dict[str, Any],
        train_dir: Path,
        make_stream: Callable[..., Stream],
        validate: Callable[[], dict[str, float]] | None,
        save: Callable[[Path], None],
        device: torch.device,
        callbacks: Sequence[Callback] = (),
        budget: Budget | None = None,
    ):
        super().__init__(task, device, train["precision"], callbacks)
        self.make_optimizers, self.train, self.budget = make_optimizers, train, budget
        self.make_stream, self.validate, self.save = make_stream, validate, save
        self.scaler = scaler_of(device, self.precision)
        self.world, self.progress = distributed.world(), Progress()
        self.window = GradientWindow(device)
        self.totals = StepTotals(task, device, train["nonfinite_patience"])
        self.times = StepTimes(device)
        self.extras: Extras | None = None
        """Samples and loggers, given by the setup."""
        self.grad_norm = torch.zeros(())
        self.stop, self.asked_to_stop, self.save_now = StopRequest(), False, False
        self.is_in_epoch = False
        self.cadence = Cadence(self, Path(train_dir))

    @functools.cached_property
    def optimizers(self) -> list[OptimScheduler]:
        """The optimizers, built when they are first needed; none if no step is taken at all."""
        _ = self.sharding  # they move what it leaves on this process
        return self.init_optimizers() if self.train["total_steps"] else []

    @functools.cached_property
    def sharding(self) -> Sharding | None:
        """The division of the model among the processes, if there is one."""
        return sharding_of(self)

    @functools.cached_property
    def ema(self) -> EMA | None:
        """The moving average of the weights, if there is one."""
        return EMA(self.parameters, self.train["ema"]) if self.train["ema"] else None

    @functools.cached_property
    def parameters(self) -> list[torch.nn.Parameter]:
        """The parameters of all optimizers."""
        return [p for optimizer in self.optimizers for p in optimizer.parameters]

    @functools.cached_property
    def task_parameters(self) -> list[torch.nn.Parameter]:
        """All parameters of the task, listed once: walking the modules takes longer than dropping the gradients."""
        _ = self.optimizers  # sharding, which replaces parameters, comes before them
        return list(self.task.parameters())

    @functools.cached_property
    def reduction(self) -> SumAfterwards:
        """The sum of the gradients over the processes."""
        return reduction_of(self)

    # ---- hooks ----

    def on_fit_start(self) -> None:
        """Before the first step of this run; checkpoints have been loaded."""

    def on_stage_start(self, mode: Mode) -> None:
        """Before an epoch of training (or the rest of it), or before a validation."""

    def on_stage_end(self, mode: Mode, metrics: Mapping[str, float]) -> None:
        """After an epoch of training (its mean ``loss``), or after a validation (its metrics)."""

    def on_fit_batch_start(self, batch: Batch) -> None:
        """Before the forward pass of a batch."""

    def on_fit_batch_end(self, batch: Batch, output: StepOutput) -> None:
        """After the backward pass of a batch."""

    def init_optimizers(self) -> list[OptimScheduler]:
        """Return the optimizers, each with its schedule and its parameters."""
        return self.make_optimizers(self.task)

    def freeze_optimizers(self, optimizers: list[OptimScheduler]) -> list[OptimScheduler]:
        """Return the optimizers that act in this step; the others ignore its gradients."""
        return optimizers

    def zero_grad(self) -> None:
        """Drop all gradients."""
        for p in self.task_parameters:
            p.grad = None

    def fit_batch(self, batch: Batch, units: Callable[[StepOutput], float]) -> StepOutput:
        """Run one batch forward and backward, add its gradients to the window's, and return the task's output.

        Args:
            units: from the task's output to the units that it counts for.
        """
        with self.times.part("forward"):
            output = self.forward(Mode.TRAIN, batch)
        with self.times.part("backward"):
            self.backward(output, units(output))
        return output

    def check_loss_isfinite(self, loss: Tensor) -> Tensor:
        """Return, as a tensor, True if a batch's loss may be used; nothing then waits for the device."""
        return torch.isfinite(loss)

    def check_gradients(self, norms: list[Tensor]) -> Tensor:
        """Return, as a tensor, True if the window's gradients may be used. ``norms``: of each optimizer's, summed."""
        return torch.isfinite(torch.stack(norms)).all()

    def optimizers_step(self, units: float) -> None:
        """Move the weights by the window's gradients, summed over the processes and divided by ``units``.

        A step whose gradients are not finite is skipped in one of two ways. On the device, if every optimizer that
        acts is fused: it gets the flag as a tensor, and nothing waits. On the host otherwise: the flag is read first,
        which waits for the device.
        """
        self.reduction.finish()
        acting = [optimizer for optimizer in self.freeze_optimizers(self.optimizers) if optimizer.gradients]
        if not acting:
            return
        if self.scaler:
            for optimizer in acting:
                self.scaler.unscale_(optimizer.optimizer)
        norms = [optimizer.norm() for optimizer in acting]
        is_finite = self.check_gradients(norms)
        self.totals.add(self.window, is_finite)
        skips_on_device = all(optimizer.skips_itself and optimizer.step_per_update == 1 for optimizer in acting)
        if skips_on_device or bool(is_finite):
            for optimizer, norm in zip(acting, norms):
                if optimizer.due(self.progress.step + 1):
                    self.grad_norm = optimizer.update(units, norm, is_finite)
                else:
                    optimizer.hold(units)
            if self.ema:
                self.ema.update()
        else:
            self.totals.read_skipped(self.progress, self.progress.step + 1, self._is_searching_scale)
        if self.scaler:
            self.scaler.update()

    # ---- the loop ----

    @property
    def finished(self) -> bool:
        """True if no step is left to take."""
        steps, epochs = self.train["total_steps"], self.train["epochs"]
        over = self.progress.epoch >= epochs if epochs else self.progress.step >= steps
        return over or self.progress.ended

    def fit(self) -> None:
        """Train to the end.

        Raises:
            TrainingError: gradients were not finite, or batches failed, for longer than nonfinite_patience.
            Interrupted: Ctrl-C or SIGTERM; a checkpoint has been written.
        """
        self.cadence.open()
        if self.budget:
            self.budget.begin(self.progress)
        if not vars(self).get("sharding"):  # which begins with this
            distributed.broadcast_tensors([*self.task.parameters(), *self.task.buffers()])
        stream: Stream | None = None
        try:
            with self.stop, watching(self.train["watchdog"]):
                self.task.train()
                self.hook("on_fit_start")
                if self.progress.step > 0 or self.finished:
                    self.cadence.after_step()  # a validation or a checkpoint that the interruption prevented
                stream = None if self.finished else self.open_stream()
                _ = self.optimizers  # torch imports its compiler with the first one; the workers read meanwhile
                while not self.finished:
                    self.step(self.next_window(stream))
                    self.cadence.after_step()
                self.cadence.finish_saving()
                if self.world.writes:
                    self.cadence.checkpoints.prune()  # a kill may have come between the last checkpoint and its pruning
                self.asked_to_stop = distributed.any(bool(self.stop))  # in the last step or its checkpoint
                if self.asked_to_stop:
                    raise self.stop.error("the training is done and saved; run the same command to continue")
        finally:
            if stream is not None:
                stream.close()
            self.cadence.close()

    def set_length(self, total_steps: int, validations: int) -> None:
        """Change the length of a training under way; its schedules go on at the rates of the new plan.

        Args:
            validations: of the whole training, if ``eval_step`` is planned too.
        """
        self.train["total_steps"] = total_steps
        self.train |= dict.fromkeys(self.budget.intervals, math.ceil(total_steps / validations))
        for optimizer in self.optimizers:
            optimizer.plan_again()

    def open_stream(self) -> Stream:
        """Return the batches from the training's position on; the loader's workers start at once."""

        def open_at(epoch: int, position: int) -> Stream:
            return prefetch(self.make_stream(epoch, position, self.make_dataloader), self.device)

        return lockstep.shared_training(open_at, self.progress.epoch, self.progress.position)

    def next_window(self, stream: Stream) -> Window:
        """Read the batches of the next step and move the position behind them."""
        if not self.is_in_epoch:
            self.hook("on_stage_start", Mode.TRAIN)
            self.is_in_epoch = True
        window, progress = [], self.progress
        with self.times.part("data"):
            for place, batch in stream:
                window.append((with_sets(place, batch), place.real))
                progress.batches = place.batches
                progress.epoch, progress.position = (place.epoch + 1, 0) if place.last else (place.epoch, place.done)
                if place.last or len(window) == self.train["gradient_accumulate"]:
                    break
        return window

    # ---- one step ----

    def step(self, window: Window) -> None:
        """Take one optimizer step over the batches of a window, together with the other processes."""
        if offers(self.task.model, StepwiseModel):
            self.task.model.set_step(self.progress.step)
        self.zero_grad()
        accumulates = any(optimizer.step_per_update > 1 for optimizer in self.optimizers)
        parts = list(parts_of(window))
        self.window.open(is_unscaled=len(parts) == 1 and self.world.size == 1 and not accumulates)
        self.reduction.open()
        for number, part in enumerate(parts, 1):
            self.reduction.begin_batch(is_last=number == len(parts))
            try:
                self._add_batch(part)
            except Exception as error:
                self._leave_out(part.batch, error)
        units = self._agree()
        if units > 0:
            with self.times.part("optimizer"):
                self.optimizers_step(1.0 if self.window.is_unscaled else units)
        self.progress.step += 1
        self.times.steps += 1
        if self.progress.step <= self.train["total_steps"]:  # some schedulers of torch refuse to go past it
            self.advance_schedules(lr_schedules.STEP)

    def _add_batch(self, part: Part) -> None:
        self.window.is_torn, batch = False, part.batch
        if isinstance(batch, Unreadable):
            raise batch.error
        self.hook("on_fit_batch_start", batch)
        output = self.fit_batch(batch, lambda output: float(output.weight) * part.weight)
        self.hook("on_fit_batch_end", batch, output)
        self.window.add(output, float(output.weight) * part.weight, part.set)

    def _leave_out(self, batch: Batch | Unreadable, error: Exception) -> None:
        """Go on without a batch that failed, and without those before it if their gradients cannot be told apart."""
        # a process cannot leave out a batch by itself if the forward pass waits for the others
        may_skip = self.world.size == 1 or not (self.train["sync_batchnorm"] or self.sharding)
        failure = classify_failure(batch, error, skip_errors=self.train["skip_errors"], may_skip=may_skip)
        if self.window.is_torn:
            if self.window.units:
                failure.text += f" (with the {self.window.units:g} units before it in this step)"
            self.zero_grad()
            self.window.discard()
        self.reduction.lose_batch()
        if self.reduction.is_broken:
            failure.text += " (with the whole step, whose gradients were being summed)"
        self.window.failures.append(failure)

    def backward(self, output: StepOutput, units: float) -> None:
        """Add the gradients of the summed loss. A non-finite loss makes all gradients NaN, on every process."""
        self.window.is_torn = True
        losses = {}
        for name in dict.fromkeys(optimizer.loss for optimizer in self.optimizers):
            loss = named_loss(output, name)
            loss = loss * torch.ones_like(loss).masked_fill(~self.check_loss_isfinite(loss), torch.nan)
            loss = self.window.scaled(loss, units)
            losses[name] = self.scaler.scale(loss) if self.scaler else loss
        with self.reduction.in_backward(next(iter(losses.values()))):
            add_gradients(losses, self.optimizers)

    def advance_schedules(self, when: str, metric: float | None = None) -> None:
        """Step the schedules that go by ``when``: steps, epochs or validations."""
        for optimizer in self.optimizers:
            optimizer.advance(when, metric)

    def _agree(self) -> float:
        """Exchange with the other processes what all must know of this step; return the units of all."""
        is_late = self.world.main and self.cadence.is_save_late()
        flags = bool(self.stop), is_late, self.reduction.is_broken
        units, (self.asked_to_stop, self.save_now, is_broken), failures = self.window.agree(*flags)
        units = 0.0 if is_broken else units
        count_failures(self.progress, failures, is_step_lost=units == 0, patience=self.train["nonfinite_patience"])
        return units

    @property
    def _is_searching_scale(self) -> bool:
        return self.scaler is not None and self.scaler.get_scale() > 1

    # ---- state ----

    def read_totals(self) -> None:
        """Take the losses and skipped steps that the device counted into the progress; every process must call it."""
        self.totals.read(self.progress, self.world.main, self._is_searching_scale)

    def read_loss(self) -> float:
        """Return the mean loss since it was last read or logged; every process must call it."""
        self.read_totals()
        loss, units = distributed.total(self.progress.take_loss())
        return loss / units if units else float("nan")

    def state_dict(self) -> dict[str, Any]:
        """Return all that the next step depends on beside the weights; every process must call it."""
        return training_state.state_of(self)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned; the weights are loaded by the caller."""
        training_state.restore(self, state)
