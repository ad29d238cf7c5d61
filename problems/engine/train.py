"""The train loop: one design for every problem.

A window is the batches between two optimizer steps: ``gradient_accumulate`` of them, fewer where an epoch ends.
Gradients are summed over the window's units (utterances or tokens, as the task weighs them) and divided by their
number, so that a window of any shape counts each unit once. All that the loop knows is in :class:`Progress` and in
what it trains; both are saved, so that a run that was cut goes on as if it had not been.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from problems.engine import distributed, optim, randomness
from problems.engine.checkpoint import Checkpoints
from problems.engine.errors import Interrupted, TrainingError
from problems.engine.monitor import open_monitor
from problems.engine.signals import StopRequest
from problems.engine.stream import Place

log = logging.getLogger(__name__)

Batch = Mapping[str, Any]
Stream = Iterator[tuple[Place, Batch]]


@dataclasses.dataclass
class Progress:
    """Where a training stands. Plain numbers only: this is saved and read back as it is."""

    step: int = 0
    epoch: int = 0
    position: int = 0  # batches of the epoch that are behind, of all processes
    batches: int = 1  # batches of the epoch
    validated: int = -1  # the step of the last validation
    saved: int = -1  # the step of the last checkpoint
    best: float | None = None  # by the primary metric, for early stopping
    waited: int = 0  # validations since it was reached
    ended: bool = False  # early stopping said so
    nonfinite: int = 0  # steps skipped in all
    nonfinite_in_a_row: int = 0
    out_of_memory: int = 0  # batches lost in all
    out_of_memory_in_a_row: int = 0
    loss_sum: float = 0.0  # since the last line of the history
    weight_sum: float = 0.0

    @property
    def epochs(self) -> float:
        """Epochs behind, with the part of the one under way."""
        return self.epoch + self.position / self.batches


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error is a device's or the allocator's word that memory ran out."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)


def to_device(value: Any, device: torch.device) -> Any:
    """A batch with every tensor in it on ``device``."""
    if isinstance(value, torch.Tensor):
        return value.to(device, non_blocking=True)
    if isinstance(value, Mapping):
        return {k: to_device(v, device) for k, v in value.items()}
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], torch.Tensor):
        return type(value)(to_device(v, device) for v in value)
    return value


class TrainLoop:
    """Trains a task.

    Args:
        task: the task, on its device.
        optimizer: over the parameters that train.
        scheduler: stepped once an optimizer step; None leaves the learning rate alone.
        train: the config's section ``train``, ``total_steps`` filled in.
        train_dir: where checkpoints and history go.
        make_stream: from (epoch, position) to the batches from there on (:func:`problems.engine.stream.train_stream`).
        validate: gives the validation metrics.
        save: writes model and task into a checkpoint's folder.
        device: where batches go.
    """

    def __init__(
        self,
        task: Any,
        optimizer: torch.optim.Optimizer,
        scheduler: Any,
        train: Mapping[str, Any],
        train_dir: Path,
        make_stream: Callable[[int, int], Stream],
        validate: Callable[[], dict[str, float]],
        save: Callable[[Path], None],
        device: torch.device,
    ):
        self.task, self.optimizer, self.scheduler, self.train = task, optimizer, scheduler, train
        self.make_stream, self.validate, self.save, self.device = make_stream, validate, save, device
        self.parameters = [p for group in optimizer.param_groups for p in group["params"]]
        direction = "max" if train["valid_higher_better"] else "min"
        rule = (train["valid_metric"], train["valid_higher_better"], train["keep_best_ckpts"])
        self.checkpoints = Checkpoints(train_dir, {f"{rule[0]} {direction}": rule}, train["keep_num_ckpts"])
        self.train_dir, self.world = Path(train_dir), distributed.world()
        self.progress = Progress()
        self.asked_to_stop = False
        self.stop = StopRequest()
        self._loss = torch.zeros((), dtype=torch.float64, device=device)

    # ---- state ----

    def state_dict(self) -> dict[str, Any]:
        """Everything but the weights that the next step depends on, of all processes; each must ask for it."""
        self._read_loss()
        return {
            "progress": dataclasses.asdict(self.progress),
            "ranking": self.checkpoints.state(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict() if self.scheduler else None,
            "rng": distributed.gather(randomness.get_state()),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`state_dict` gave; the weights are the caller's to load."""
        progress = self.progress = Progress(**state["progress"])
        patience = self.train["patience"]
        progress.ended = patience is not None and progress.waited >= patience  # by the patience of this run
        self.checkpoints.restore(state["ranking"], self.world.main)
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler and state["scheduler"]:
            optim.load_schedule(self.scheduler, state["scheduler"])
        self._restore_randomness(state["rng"])

    def _restore_randomness(self, states: list[dict[str, Any]]) -> None:
        rank, size = self.world.rank, self.world.size
        if rank:
            self.progress.loss_sum = 0.0  # the first process holds the sum of all
        if len(states) != size:
            log.warning("the training was saved by %d processes and goes on with %d", len(states), size)
        if rank < len(states):
            randomness.set_state(states[rank])
        else:
            randomness.seed_all(randomness.derive(self.train["seed"], self.progress.step, rank))

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
            TrainingError: gradients stayed non-finite, or memory ran out, for longer than nonfinite_patience.
            Interrupted: Ctrl-C or SIGTERM; a checkpoint has been written.
        """
        progress = self.progress
        self.monitor = open_monitor(
            self.train_dir, progress.step, self.train["total_steps"], self.train["valid_metric"], self.world.main
        )
        distributed.same_everywhere([*self.task.parameters(), *self.task.buffers()])
        stream: Stream | None = None
        try:
            with self.stop:
                self.task.train()
                if progress.step > 0:
                    self.after_step()  # a validation or a checkpoint that the interruption kept from being made
                stream = None if self.finished else self.make_stream(progress.epoch, progress.position)
                while not self.finished:
                    self.fit_window(self.next_window(stream))
                    self.after_step()
                self.asked_to_stop = distributed.total([bool(self.stop)])[0] > 0  # in the last step or its checkpoint
                if self.asked_to_stop:
                    raise self.stop.error("the training is done and saved; the same command goes on from there")
        finally:
            if stream is not None:
                stream.close()
            self.monitor.close()

    def next_window(self, stream: Stream) -> list[tuple[Batch, bool]]:
        """The batches of the next step, each with whether it counts, and the place behind them."""
        window = []
        for place, batch in stream:
            window.append((batch, place.real))
            progress = self.progress
            progress.batches = place.batches
            progress.epoch, progress.position = (place.epoch + 1, 0) if place.last else (place.epoch, place.behind)
            if place.last or len(window) == self.train["gradient_accumulate"]:
                break
        return window

    def fit_window(self, window: list[tuple[Batch, bool]]) -> None:
        """One optimizer step over the batches of a window, of all processes."""
        self.optimizer.zero_grad(set_to_none=True)
        weight, loss = 0.0, torch.zeros_like(self._loss)
        plain = len(window) == 1 and self.world.size == 1  # the mean is the batch's own: nothing to divide
        for batch, counts in window:
            in_backward = False
            try:
                output = self.task("train", **to_device(batch, self.device))
                units = float(output.weight) if counts else 0.0
                in_backward = True
                (output.loss if plain else output.loss * units).backward()
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                self._survive_memory(batch, error)
                if in_backward:  # some gradients hold a part of this batch: none of the window's can be told apart
                    self.optimizer.zero_grad(set_to_none=True)
                    weight, loss = 0.0, torch.zeros_like(self._loss)
                continue
            weight += units
            loss += output.loss.detach() * units
        everyone, stopping = distributed.total([weight, bool(self.stop)])
        self.asked_to_stop = stopping > 0
        if everyone > 0 and self.optimizers_step(None if plain else everyone):
            self.progress.out_of_memory_in_a_row = 0
            self._loss += loss
            self.progress.weight_sum += everyone
        self.progress.step += 1
        if self.scheduler and self.progress.step < self.train["total_steps"]:
            self.scheduler.step()

    def optimizers_step(self, units: float | None) -> bool:
        """Sum gradients over the processes, divide by ``units``, clip over all groups, step; False where it may not."""
        distributed.sum_gradients(self.parameters)
        grads = [p.grad for p in self.parameters if p.grad is not None]
        if units is not None:
            torch._foreach_div_(grads, units)
        norm = torch.nn.utils.get_total_norm(grads)
        if not self.check_gradients(norm):
            return False
        limit = self.train["gradient_clipping"]
        if limit is not None:
            torch.nn.utils.clip_grads_with_norm_(self.parameters, limit, norm)
        self.grad_norm = norm
        self.optimizer.step()
        return True

    def check_gradients(self, norm: torch.Tensor) -> bool:
        """Whether a step may be taken. Where not, it is counted, and past the patience the run ends unharmed."""
        progress = self.progress
        if torch.isfinite(norm):
            progress.nonfinite_in_a_row = 0
            return True
        progress.nonfinite += 1
        progress.nonfinite_in_a_row += 1
        patience = self.train["nonfinite_patience"]
        where = f"step {progress.step + 1} (epoch {progress.epochs:.2f})"
        if progress.nonfinite_in_a_row > patience:
            raise TrainingError(
                f"{where}: the gradients are not finite, for {progress.nonfinite_in_a_row} steps in a row now,"
                f" more than train.nonfinite_patience {patience} allows. The weights are unharmed:"
                " lower build_optimizer.conf.lr, or look for bad audio or labels"
            )
        harmed = [n for n, b in self.task.named_buffers() if b.is_floating_point() and not torch.isfinite(b).all()]
        if harmed:
            raise TrainingError(
                f"{where}: the batch put values that are not finite into {harmed[0]}; resume from the last"
            )
        log.warning("%s is skipped: its gradients are not finite (%d so far)", where, progress.nonfinite)
        self.optimizer.zero_grad(set_to_none=True)
        return False

    def _survive_memory(self, batch: Batch, error: BaseException) -> None:
        progress = self.progress
        progress.out_of_memory += 1
        progress.out_of_memory_in_a_row += 1
        if progress.out_of_memory_in_a_row > self.train["nonfinite_patience"]:
            raise TrainingError(
                f"step {progress.step + 1}: memory ran out for {progress.out_of_memory_in_a_row} batches in a row, more"
                f" than train.nonfinite_patience {self.train['nonfinite_patience']} allows: make batches smaller"
                " (build_batch_sampler.train.max_seconds), or the model"
            ) from error
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        shapes = {k: tuple(v.shape) for k, v in batch.items() if isinstance(v, torch.Tensor)}
        ids = batch.get("id", [])
        log.warning(
            "out of memory in step %d: a batch is left out (%d so far): %s %s: %s",
            self.progress.step + 1, self.progress.out_of_memory, shapes, ids[:4], str(error).splitlines()[0],
        )  # fmt: skip

    # ---- between steps ----

    def after_step(self) -> None:
        """Log, validate and save what is due; end where a signal asked for it."""
        progress, train = self.progress, self.train
        self.monitor.tick(progress.step)
        if progress.weight_sum and (progress.step % train["log_step"] == 0 or self.finished):
            self._log()
        due = progress.saved != progress.step and (
            progress.step % train["save_step"] == 0 or self.finished or self.asked_to_stop
        )
        evaluate = progress.step % train["eval_step"] == 0 or self.finished
        if progress.validated != progress.step and evaluate and not self.asked_to_stop:
            due |= self._validate() or self.finished or progress.saved == progress.step
            if progress.ended and progress.weight_sum:
                self._log()
        if due:
            self.save_checkpoint()
        if self.asked_to_stop:
            raise self.stop.error(f"the training is saved at step {progress.step}; the same command goes on from there")

    def _read_loss(self) -> None:
        """Bring the loss of all processes into the first one's sum: the only wait for the device between two lines."""
        (everyone,) = distributed.total([self.progress.loss_sum + float(self._loss)])
        self.progress.loss_sum = everyone if self.world.main else 0.0
        self._loss.zero_()

    def _log(self) -> None:
        progress = self.progress
        self._read_loss()
        values = {"loss": progress.loss_sum / progress.weight_sum, "lr": self.optimizer.param_groups[0]["lr"]}
        values["grad_norm"] = float(getattr(self, "grad_norm", float("nan")))
        values |= {k: v for k in ("nonfinite", "out_of_memory") if (v := getattr(progress, k))}
        self.monitor.log("train", progress.step, progress.epochs, values | self.monitor.speed(progress.step))
        progress.loss_sum = progress.weight_sum = 0.0

    def _validate(self) -> bool:
        """Validate; whether the weights are among the best. Leaves every generator as it was."""
        progress, train = self.progress, self.train
        self.task.eval()
        try:
            with randomness.isolated(), self.stop.at_once() if self.world.size == 1 else contextlib.nullcontext():
                distributed.same_everywhere(list(self.task.buffers()))
                metrics = self.validate()
        except Interrupted:
            self.save_checkpoint()
            raise self.stop.error(
                f"the training is saved at step {progress.step}, before its validation;"
                " the same command goes on from there"
            ) from None
        finally:
            self.task.train()
        progress.validated = progress.step
        placed = self.checkpoints.rank(progress.step, metrics)
        self.monitor.log("valid", progress.step, progress.epochs, metrics)
        value = metrics[train["valid_metric"]]
        gain = 0.0 if progress.best is None else (value - progress.best) * (1 if train["valid_higher_better"] else -1)
        if value == value and (progress.best is None or gain > train["threshold"]):
            progress.best, progress.waited = value, 0
        else:
            progress.waited += 1
        if train["patience"] is not None and progress.waited >= train["patience"]:
            progress.ended = True
            log.info(
                "training ends at step %d: %s is not better for %d validations",
                progress.step,
                train["valid_metric"],
                progress.waited,
            )
        return placed

    def save_checkpoint(self) -> None:
        """Write a checkpoint of this step; every process must take part."""
        self.progress.saved = self.progress.step
        self.monitor.sync()
        state = self.state_dict()

        def fill(folder: Path) -> None:
            self.save(folder)
            torch.save(state, folder / "training.pt")

        if self.world.main:
            self.checkpoints.save(self.progress.step, fill)
        distributed.barrier()  # nobody leaves while it is being written
