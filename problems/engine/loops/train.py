"""The train loop: one design for every problem.

Windows of batches, one optimizer step each (:mod:`problems.engine.loops.step`), with logging, validation and
checkpoints between them. All that the loop knows is in :class:`Progress` and in what it trains; both are saved, so that
a run that was cut goes on as if it had not been.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from dataset import seeding
from dataset.loader import Place
from problems.engine.checkpoints.store import Checkpoints
from problems.engine.loops.base import Batch, Callback
from problems.engine.loops.history import open_monitor
from problems.engine.loops.prefetch import ahead
from problems.engine.loops.progress import Progress
from problems.engine.loops.step import Window, WindowLoop
from problems.engine.optim import lr_schedules
from problems.engine.optim.scheduled_optimizer import OptimScheduler
from problems.engine.runtime import distributed
from problems.engine.runtime.errors import Interrupted
from problems.engine.runtime.watchdog import beat, watching
from tasks.base import Mode

log = logging.getLogger(__name__)

Stream = Iterator[tuple[Place, Batch]]


class TrainLoop(WindowLoop):
    """Trains a task. Its public methods are there to be overridden.

    Args:
        task: the task, on its device.
        make_optimizers: builds the optimizers over a task's parameters.
        train: the config's section ``train``, ``total_steps`` filled in.
        train_dir: where checkpoints and history go.
        make_stream: from (epoch, position) and a maker of data loaders to the batches from there on
            (:func:`dataset.loader.train_stream`).
        validate: gives the validation metrics.
        save: writes model and task into a checkpoint's folder.
        device: where batches go.
        callbacks: called at the same places as the loop's own hooks.
    """

    def __init__(
        self,
        task: Any,
        make_optimizers: Callable[[Any], list[OptimScheduler]],
        train: Mapping[str, Any],
        train_dir: Path,
        make_stream: Callable[..., Stream],
        validate: Callable[[], dict[str, float]],
        save: Callable[[Path], None],
        device: torch.device,
        callbacks: Sequence[Callback] = (),
    ):
        super().__init__(task, make_optimizers, train, device, callbacks)
        self.make_stream, self.validate, self.save = make_stream, validate, save
        self.train_dir = Path(train_dir)
        self.checkpoints = Checkpoints(self.train_dir, best_rules(train), train["keep_num_ckpts"])

    # ---- hooks ----

    def on_fit_start(self) -> None:
        """Before the first step of this run; checkpoints have been loaded."""

    def on_stage_start(self, mode: Mode) -> None:
        """Before an epoch of training (or what is left of it), or before a validation."""

    def on_stage_end(self, mode: Mode, metrics: Mapping[str, float]) -> None:
        """After an epoch of training (its mean ``loss``), or after a validation (its metrics)."""

    # ---- state ----

    def state_dict(self) -> dict[str, Any]:
        """Everything but the weights that the next step depends on, of all processes; each must ask for it."""
        self._read_sums()
        return {
            "progress": dataclasses.asdict(self.progress),
            "total_steps": self.train["total_steps"],
            "ranking": self.checkpoints.state(),
            "optimizers": [one.state_dict() for one in self.optimizers],
            "scaler": self.scaler.state_dict() if self.scaler else None,
            "ema": self.ema.state_dict() if self.ema else None,
            "callbacks": [c.state_dict() if hasattr(c, "state_dict") else None for c in self.callbacks],
            "rng": distributed.gather(seeding.get_state()),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`state_dict` gave; the weights are the caller's to load."""
        progress = self.progress = Progress(**state["progress"])
        patience = self.train["patience"]
        progress.ended = patience is not None and progress.waited >= patience  # by the patience of this run
        before, now = state["total_steps"], self.train["total_steps"]
        if before != now and any(one.scheduler for one in self.optimizers):
            log.info("the schedule is planned again from here: over %d steps in all, not %d", now, before)
        self.checkpoints.restore(state["ranking"], self.world.writes)
        for one, saved in zip(self.optimizers, state["optimizers"], strict=True):
            one.load_state_dict(saved)
        if self.scaler:
            self.scaler.load_state_dict(state["scaler"])
        if self.ema:
            self.ema.load_state_dict(state["ema"])
        if len(state["callbacks"]) != len(self.callbacks):
            log.warning("there are %d callbacks, the checkpoint has %d", len(self.callbacks), len(state["callbacks"]))
        for callback, saved in zip(self.callbacks, state["callbacks"]):
            if saved is not None:
                callback.load_state_dict(saved)
        self.guard.set(progress.nonfinite, progress.nonfinite_in_a_row)
        self._restore_randomness(state["rng"])

    def _restore_randomness(self, states: list[dict[str, Any]]) -> None:
        rank, size, progress = self.world.rank, self.world.size, self.progress
        if rank:  # the first process holds the sums of all
            progress.loss_sum = progress.weight_sum = progress.epoch_loss_sum = progress.epoch_weight_sum = 0.0
        if len(states) != size:
            log.warning("the training was saved by %d processes and goes on with %d", len(states), size)
        if rank < len(states):
            seeding.set_state(states[rank])
        else:
            seeding.seed_all(seeding.derive(self.train["seed"], progress.step, rank))

    # ---- the loop ----

    @property
    def finished(self) -> bool:
        """Whether there is no step left to take."""
        steps, epochs = self.train["total_steps"], self.train["epochs"]
        over = self.progress.epoch >= epochs if epochs else self.progress.step >= steps
        return over or self.progress.ended

    def fit(self) -> None:
        """Train to the end.

        Raises:
            TrainingError: gradients stayed non-finite, or batches failed, for longer than nonfinite_patience.
            Interrupted: Ctrl-C or SIGTERM; a checkpoint has been written.
        """
        progress = self.progress
        self.monitor = open_monitor(
            train_dir=self.train_dir,
            step=progress.step,
            total_steps=self.train["total_steps"],
            primary=self.train["valid_metric"],
            validated=progress.validated == progress.step,
            declarations=self.task.metrics,
            writes=self.world.main,
        )
        distributed.broadcast_tensors([*self.task.parameters(), *self.task.buffers()])
        stream: Stream | None = None
        try:
            with self.stop, watching(self.train["watchdog"]):
                self.task.train()
                self.hook("on_fit_start")
                if progress.step > 0:
                    self.after_step()  # a validation or a checkpoint that the interruption kept from being made
                stream = None if self.finished else self.open_stream()
                while not self.finished:
                    self.step(stream)
                    self.after_step()
                if self.world.writes:
                    self.checkpoints.prune()  # a kill may have come between the last checkpoint and its pruning
                self.asked_to_stop = distributed.any(bool(self.stop))  # in the last step or its checkpoint
                if self.asked_to_stop:
                    raise self.stop.error("the training is done and saved; the same command goes on from there")
        finally:
            if stream is not None:
                stream.close()
            self.monitor.close()

    def open_stream(self) -> Stream:
        """The batches from where the training stands."""
        self._stage_begins = True
        stream = self.make_stream(self.progress.epoch, self.progress.position, self.make_dataloader)
        return ahead(stream, self.device)

    def step(self, stream: Stream) -> None:
        """The next window, with what begins and ends with an epoch."""
        if self._stage_begins:
            self.hook("on_stage_start", Mode.TRAIN)
        self.fit_window(self.next_window(stream))
        self._stage_begins = self.progress.position == 0
        if self._stage_begins or self.finished:
            self._end_stage()

    def _end_stage(self) -> None:
        progress = self.progress
        self._read_sums()
        units = distributed.total([progress.epoch_loss_sum, progress.epoch_weight_sum])
        if progress.position == 0:
            progress.epoch_loss_sum = progress.epoch_weight_sum = 0.0
            self._advance(lr_schedules.EPOCH)
        self.hook("on_stage_end", Mode.TRAIN, {"loss": units[0] / units[1] if units[1] else float("nan")})

    def _advance(self, when: str, metric: float | None = None) -> None:
        for one in self.optimizers:
            one.advance(when, metric)

    def next_window(self, stream: Stream) -> Window:
        """The batches of the next step, each with whether it counts, and the place behind them."""
        window = []
        for place, batch in stream:
            window.append((batch, place.real))
            progress = self.progress
            progress.batches = place.batches
            progress.epoch, progress.position = (place.epoch + 1, 0) if place.last else (place.epoch, place.done)
            if place.last or len(window) == self.train["gradient_accumulate"]:
                break
        return window

    # ---- between steps ----

    def after_step(self) -> None:
        """Log, validate and save what is due; end where a signal asked for it."""
        progress, train = self.progress, self.train
        beat()
        self.monitor.tick(progress.step)
        if progress.step % train["log_step"] == 0 or self.finished:
            self._log()
        planned = progress.step % train["save_step"] == 0 or self.finished
        due = progress.saved != progress.step and (planned or self.asked_to_stop or self.save_now)
        if progress.validated != progress.step and self._validation_is_due() and not self.asked_to_stop:
            planned |= self._validate() or self.finished
            due |= planned or progress.saved == progress.step
            if progress.ended:
                self._log()
        if due:
            self.save_checkpoint(interim=not planned)
        if self.asked_to_stop:
            raise self.stop.error(f"the training is saved at step {progress.step}; the same command goes on from there")

    def _validation_is_due(self) -> bool:
        steps, epochs, progress = self.train["eval_step"], self.train["valid_per_epochs"], self.progress
        by_step = steps is not None and progress.step % steps == 0
        by_epoch = epochs is not None and progress.position == 0 and progress.epoch % epochs == 0
        return by_step or by_epoch or self.finished

    def _log(self) -> None:
        progress, loss = self.progress, self.read_loss()
        if loss == loss:
            values = {"loss": loss}
            for one in self.optimizers:
                values[f"lr_{one.name}" if one.name else "lr"] = one.optimizer.param_groups[0]["lr"]
            values["grad_norm"] = float(self.grad_norm)
            values |= {k: v for k in ("nonfinite", "out_of_memory", "errors") if (v := getattr(progress, k))}
            self.monitor.log("train", progress.step, progress.epochs, values | self.monitor.speed(progress.step))

    def _averaged(self) -> contextlib.AbstractContextManager[None]:
        """The averaged weights in place, where there are any."""
        return self.ema.in_place() if self.ema else contextlib.nullcontext()

    def _validate(self) -> bool:
        """Validate; whether the weights are among the best. Leaves every generator as it was."""
        progress, train = self.progress, self.train
        self.hook("on_stage_start", Mode.VALID)
        at_once = self.stop.at_once() if self.world.size == 1 else contextlib.nullcontext()
        try:
            with self._averaged(), self.evaluating(), seeding.isolated(), at_once:
                distributed.broadcast_tensors(list(self.task.buffers()))
                metrics = self.validate()
        except Interrupted:
            self.save_checkpoint(interim=True)
            raise self.stop.error(
                f"the training is saved at step {progress.step}, before its validation;"
                " the same command goes on from there"
            ) from None
        progress.validated = progress.step
        placed = self.checkpoints.rank(progress.step, metrics)
        self.monitor.log("valid", progress.step, progress.epochs, metrics)
        value, higher = metrics[train["valid_metric"]], train["valid_higher_better"]
        progress.validate(value, higher, train["threshold"], train["threshold_mode"] == "rel")
        self._advance(lr_schedules.VALIDATION, value)
        if train["patience"] is not None and progress.waited >= train["patience"]:
            progress.ended = True
            log.info(
                "training ends at step %d: %s is not better for %d validations",
                progress.step, train["valid_metric"], progress.waited,
            )  # fmt: skip
        self.hook("on_stage_end", Mode.VALID, metrics)
        return placed

    def save_checkpoint(self, interim: bool = False) -> None:
        """Write a checkpoint of this step; every process must take part.

        Args:
            interim: no step, epoch or validation asked for it, but a signal or the clock.
        """
        self.progress.saved, self._saved_at = self.progress.step, time.monotonic()
        self.monitor.sync()
        state = self.state_dict()

        def fill(folder: Path) -> None:
            with self._averaged():
                self.save(folder)
            torch.save(state, folder / "training.pt")

        if self.world.writes:
            self.checkpoints.save(self.progress.step, fill, interim)
        distributed.barrier()  # nobody leaves while it is being written


def best_rules(train: Mapping[str, Any]) -> dict[str, tuple[str, bool, int]]:
    """What :class:`Checkpoints` ranks by: the primary metric, then the further rules."""
    rules = [(train["valid_metric"], train["valid_higher_better"], train["keep_best_ckpts"])]
    rules += [(r["metric"], r["higher_better"], r.get("keep", 1)) for r in train["best_rules"]]
    return {f"{metric} {'max' if higher else 'min'}": (metric, higher, keep) for metric, higher, keep in rules}
