"""Cadence: the log lines, validations and checkpoints that are due between two optimizer steps."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataset import seeding
from problems.engine.checkpoints.store import Checkpoints, Rule
from problems.engine.loops import lockstep
from problems.engine.loops.length import plan
from problems.engine.loops.length.early_stopping import EarlyStopping
from problems.engine.loops.monitoring.display import Display
from problems.engine.loops.monitoring.history import History, Sink, Stopwatch
from problems.engine.loops.state import training_state
from problems.engine.optim import lr_schedules
from problems.engine.runtime import distributed
from problems.engine.runtime.errors import Interrupted
from problems.engine.runtime.formatting import duration
from problems.engine.runtime.watchdog import beat
from tasks.base import Mode

if TYPE_CHECKING:
    from problems.engine.loops.train import TrainLoop


log = logging.getLogger(__name__)


class Cadence:
    """Logs, validates and saves a training when that is due.

    Args:
        loop: the training. Its progress is counted on here.
        train_dir: the folder of checkpoints and history.
    """

    def __init__(self, loop: TrainLoop, train_dir: Path) -> None:
        train = loop.train
        self.loop, self.train_dir = loop, train_dir
        self.checkpoints = Checkpoints(train_dir, best_rules(train), train["keep_num_ckpts"])
        self.early_stopping = EarlyStopping(
            metric=train["valid_metric"],
            higher_better=train["valid_higher_better"],
            patience=train["patience"],
            threshold=train["threshold"],
            is_relative=train["threshold_mode"] == "rel",
        )
        self.sinks: list[Sink] = []
        self.stopwatch = Stopwatch(0)
        self.saved_at = time.monotonic()

    def open(self) -> None:
        """Start the stopwatch, and open the history and the display on the main process."""
        loop, step = self.loop, self.loop.progress.step
        self.stopwatch = Stopwatch(step)
        if not loop.world.main:
            return
        declarations = loop.task.metrics
        history = History(self.train_dir, step, declarations, is_validated=loop.progress.validated == step)
        self.sinks = [history, Display(step, loop.train, declarations)]
        self.sinks += loop.extras.sinks(self.train_dir) if loop.extras else []

    def close(self) -> None:
        """Close the history and the display, after the checkpoint that is being written.

        At the end of the training, tell the time of a step.
        """
        try:
            self.checkpoints.writer.close()
        finally:
            if self.sinks and self.loop.finished and (summary := self.loop.times.summary()):
                log.info("  %s", summary)
            for sink in self.sinks:
                sink.close()

    def after_step(self) -> None:
        """End the epoch, log, validate and save if due; end the training if a signal asked for it."""
        loop = self.loop
        progress, train = loop.progress, loop.train
        if loop.is_in_epoch and (progress.position == 0 or loop.finished):
            self._end_epoch()
        beat()
        self._plan_length()
        for sink in self.sinks:
            sink.tick(progress.step)
        if progress.step % train["log_step"] == 0 or loop.finished:
            self._log_train()
        planned = self._is_at("save_step", "save_per_epochs", progress.saved) or loop.finished
        due = progress.saved != progress.step and (planned or loop.asked_to_stop or loop.save_now)
        if self._is_validation_due() and not loop.asked_to_stop:
            planned |= self._validate()
            self._plan_length()
            planned |= loop.finished
            due |= planned or progress.saved == progress.step
            if progress.ended:
                self._log_train()
        if due:
            self.save_checkpoint(interim=not planned)
        if loop.asked_to_stop:
            self.finish_saving()
            raise loop.stop.error(f"the training is saved at step {progress.step}; run the same command to continue")

    def is_save_late(self) -> bool:
        """Return True if the last checkpoint is older than ``save_minutes``."""
        minutes = self.loop.train["save_minutes"]
        return minutes is not None and time.monotonic() - self.saved_at > 60 * minutes

    def save_checkpoint(self, interim: bool = False) -> None:
        """Copy the state of this step; a thread writes the checkpoint. Every process must call it.

        Args:
            interim: True if a signal or the clock asked for it, rather than a step, an epoch or a validation.
        """
        loop = self.loop
        loop.progress.saved, self.saved_at = loop.progress.step, time.monotonic()
        for sink in self.sinks:
            sink.sync()
        state = loop.state_dict()

        def fill(folder: Path) -> None:
            loop.save(folder)
            training_state.write(state, folder)

        is_held = loop.sharding.weights_held(loop.world.writes) if loop.sharding else contextlib.nullcontext()
        with self._averaged(), is_held:
            if loop.world.writes:
                self.checkpoints.start_saving(loop.progress.step, fill, interim)

    def finish_saving(self) -> None:
        """Wait until the last checkpoint is complete, so that no process leaves before; every process must call it."""
        self.checkpoints.wait()
        distributed.barrier()

    def _end_epoch(self) -> None:
        loop, progress = self.loop, self.loop.progress
        loop.read_totals()
        loss, units = distributed.total([progress.epoch_loss_sum, progress.epoch_weight_sum])
        if progress.position == 0:
            progress.reset_epoch_loss()
            loop.advance_schedules(lr_schedules.EPOCH)
        loop.hook("on_stage_end", Mode.TRAIN, {"loss": loss / units if units else float("nan")})
        loop.is_in_epoch = False

    def _log_train(self) -> None:
        progress, loss = self.loop.progress, self.loop.read_loss()
        if loss != loss:
            return
        values = {"loss": loss} | progress.take_named() | {"loss": loss}
        for optimizer in self.loop.optimizers:
            values |= optimizer.learning_rates()
        values["grad_norm"] = float(self.loop.grad_norm)
        counts = {name: getattr(progress, name) for name in ("nonfinite", "out_of_memory", "errors")}
        values |= {name: count for name, count in counts.items() if count}
        self._log("train", values | self.stopwatch.read(progress.step) | self.loop.times.read())

    def _log(self, split: str, values: Mapping[str, Any]) -> None:
        for sink in self.sinks:
            sink.log(split, self.loop.progress.step, self.loop.progress.epochs, values)

    def _is_validation_due(self) -> bool:
        loop, progress = self.loop, self.loop.progress
        if loop.validate is None or progress.validated == progress.step:
            return False
        return self._is_at("eval_step", "valid_per_epochs", progress.validated) or loop.finished

    def _is_at(self, steps: str, epochs: str, last: int) -> bool:
        """Return True at these intervals. With a budget, whose plan changes, they count from the ``last`` time."""
        loop = self.loop
        return loop.progress.is_at(loop.train[steps], loop.train[epochs], since=last if loop.budget else None)

    def _plan_length(self) -> None:
        """Plan the length anew if there is a budget and the speed is known better. Every process must call it."""
        loop, budget, before = self.loop, self.loop.budget, self.loop.train["total_steps"]
        if budget is None or loop.finished or not budget.is_due(loop.progress, before):
            return
        total, validations = distributed.broadcast(
            (budget.total_steps(loop.progress, plan.VALIDATIONS), budget.most_validations(plan.VALIDATIONS))
        )
        if total is None:
            return
        loop.set_length(total, validations)
        if abs(total - before) > 0.1 * before:
            log.info("  the budget of %s is enough for %s steps", duration(budget.seconds), f"{total:,}")

    def _validate(self) -> bool:
        """Validate; return True if the weights are among the best. Leaves every random generator as it was."""
        loop, progress = self.loop, self.loop.progress
        loop.hook("on_stage_start", Mode.VALID)
        began = time.monotonic()
        at_once = loop.stop.at_once() if loop.world.size == 1 else contextlib.nullcontext()
        try:
            with self._averaged(), self._together(), loop.evaluating(), seeding.isolated(), at_once:
                distributed.broadcast_tensors(list(loop.task.buffers()))
                metrics = loop.validate()
        except Interrupted:
            self.save_checkpoint(interim=True)
            self.finish_saving()
            raise loop.stop.error(
                f"the training is saved at step {progress.step}, before its validation;"
                " run the same command to continue"
            ) from None
        progress.validated = progress.step
        if loop.budget:
            loop.budget.validated(time.monotonic() - began)
        is_best = self.checkpoints.rank(progress.step, metrics)
        self._log("valid", metrics)
        if loop.extras and loop.extras.samples and loop.extras.samples.rows:
            for sink in self.sinks:
                sink.show(progress.step, loop.extras.samples.rows)
        value = metrics[loop.train["valid_metric"]]
        self.early_stopping.observe(progress, value)
        loop.advance_schedules(lr_schedules.VALIDATION, value)
        loop.hook("on_stage_end", Mode.VALID, metrics)
        lockstep.judge(loop.train, progress.step)
        return is_best

    def _together(self) -> contextlib.AbstractContextManager[None]:
        """Put the parts of the model together, if it is divided."""
        return self.loop.sharding.together() if self.loop.sharding else contextlib.nullcontext()

    def _averaged(self) -> contextlib.AbstractContextManager[None]:
        """Put the averaged weights in place, if there are any."""
        return self.loop.ema.in_place() if self.loop.ema else contextlib.nullcontext()


def best_rules(train: Mapping[str, Any]) -> dict[str, Rule]:
    """Return the rules that :class:`Checkpoints` ranks by: the primary metric, then the further rules."""
    if train["valid_metric"] is None:
        return {}
    rules = [Rule(train["valid_metric"], train["valid_higher_better"], train["keep_best_ckpts"])]
    rules += [Rule(r["metric"], r["higher_better"], r.get("keep", 1)) for r in train["best_rules"]]
    return {f"{rule.metric} {'max' if rule.higher_better else 'min'}": rule for rule in rules}
