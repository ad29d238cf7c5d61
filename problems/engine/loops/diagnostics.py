"""Diagnostics in place of training: data throughput, step timing, overfitting one batch.

A diagnostic starts from fresh weights and writes nothing.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

from dataset import SAMPLE_RATE
from dataset.loader import Unreadable
from problems.engine.loops import memory_trial
from problems.engine.loops.train import TrainLoop
from problems.engine.loops.window.sub_batches import parts_of, with_sets
from problems.engine.optim.scheduled_optimizer import OptimScheduler
from problems.engine.runtime import distributed

log = logging.getLogger(__name__)

FITTED = 0.1
"""The model fits a batch if its loss falls below this fraction of the first loss."""


def dry_run(loop: TrainLoop) -> None:
    """Read the batches of one epoch and log the throughput."""
    loop.hook("on_fit_start")
    started, batches, utterances, samples = time.monotonic(), 0, 0, 0.0
    for place, batch in loop.open_stream():
        batches += place.real
        for part in parts_of([(with_sets(place, batch), place.real)]):
            if isinstance(part.batch, Unreadable):
                log.warning("cannot be read: %s: %s", ", ".join(part.batch.ids), part.batch.error)
            elif part.weight:
                utterances += len(part.batch.get("id", ()))
                samples += float(part.batch["wav_len"].sum()) if "wav_len" in part.batch else 0.0
        if place.last:
            break
    seconds = max(time.monotonic() - started, 1e-9)
    batches, utterances, samples = distributed.total([batches, utterances, samples])
    rates = f"{batches / seconds:.3g} batches/s, {utterances / seconds:.4g} utterances/s"
    if samples:
        rates += f", {samples / SAMPLE_RATE / seconds:,.0f} s of audio per second"
    log.info("dry run: %d batches, %d utterances per epoch; %s", batches, utterances, rates)


def no_optim(loop: TrainLoop) -> None:
    """Take ``total_steps`` steps and log where the time goes; the loop is a :func:`without_optimizers`."""
    loop.hook("on_fit_start")
    loop.task.train()
    reading = computing = 0.0
    stream = loop.open_stream()
    for step in range(loop.train["total_steps"]):
        began = time.monotonic()
        window = loop.next_window(stream)
        read = time.monotonic()
        loop.step(window)
        if loop.device.type == "cuda":
            torch.cuda.synchronize(loop.device)
        if step:  # the first one starts workers and allocates memory
            reading, computing = reading + read - began, computing + time.monotonic() - read
    stream.close()
    steps, seconds = max(1, loop.train["total_steps"] - 1), reading + computing
    memory = ""
    if loop.device.type == "cuda":
        memory = f"; peak GPU memory {torch.cuda.max_memory_allocated(loop.device) / 1e9:.2f} GB"
    waiting = 100 * reading / max(seconds, 1e-9)
    log.info(
        "no_optim: %.4g s per step: %.0f %% waiting for data, the rest forward and backward%s",
        seconds / steps,
        waiting,
        memory,
    )


def without_optimizers(loop_cls: type[TrainLoop]) -> type[TrainLoop]:
    """Return a loop class like ``loop_cls`` whose optimizers never act."""

    class WithoutOptimizers(loop_cls):
        def freeze_optimizers(self, optimizers: list[OptimScheduler]) -> list[OptimScheduler]:
            return []

        def advance_schedules(self, when: str, metric: float | None = None) -> None:
            """Leave the schedules alone: torch warns of one that is stepped before its optimizer."""

    return WithoutOptimizers


def overfit_one_batch(loop: TrainLoop) -> None:
    """Train on the first batches for ``total_steps`` and log if the model can fit them."""
    loop.hook("on_fit_start")
    loop.task.train()
    stream = loop.open_stream()
    window = loop.next_window(stream)
    stream.close()
    losses: list[float] = []
    for step in itertools.count(1):
        loop.step(window)
        losses.append(loop.read_loss())
        if step % loop.train["log_step"] == 0:
            log.info("  step %d  loss %.4g", step, losses[-1])
        if step == loop.train["total_steps"]:
            break
    verdict = "the model can fit it" if losses[-1] < FITTED * losses[0] else "THE MODEL DID NOT FIT IT"
    log.info("overfit_one_batch: loss %.4g to %.4g in %d steps: %s", losses[0], losses[-1], step, verdict)


@dataclasses.dataclass(frozen=True)
class Diagnostic:
    """A diagnostic: ``run`` takes a loop of the class that ``adapt`` makes of the problem's."""

    run: Callable[[TrainLoop], None]
    adapt: Callable[[type[TrainLoop]], type[TrainLoop]] = lambda loop_cls: loop_cls


DIAGNOSTICS = {
    "dry_run": Diagnostic(dry_run),
    "no_optim": Diagnostic(no_optim, without_optimizers),
    "overfit_one_batch": Diagnostic(overfit_one_batch),
}
"""By the key of ``train`` that asks for it."""


def requested(train: Mapping[str, Any]) -> Diagnostic | None:
    """Return the diagnostic that the config, or the verb ``fit``, asks for; None for a training."""
    if memory_trial.KEY in train:
        return Diagnostic(memory_trial.run_trial)
    return next((diagnostic for key, diagnostic in DIAGNOSTICS.items() if train.get(key)), None)
