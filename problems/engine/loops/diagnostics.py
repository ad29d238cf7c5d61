"""Looking before a training begins: how fast the data come, where a step's time goes, whether one batch can be learnt.

A trial starts from fresh weights and writes nothing.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

from dataset.loader import Unreadable
from problems.engine.runtime import distributed

log = logging.getLogger(__name__)

RATE = 16000  # samples a second of every batch
LEARNT = 0.1  # of the first loss: below it a batch counts as learnt


def trial_of(train: Mapping[str, Any]) -> Callable[[Any], None] | None:
    """The trial that the config's section asks for; None for a training."""
    trials = {"dry_run": dry_run, "no_optim": no_optim, "overfit_one_batch": overfit_one_batch}
    return next((trial for key, trial in trials.items() if train.get(key)), None)


def dry_run(loop: Any) -> None:
    """Read the batches of one epoch and say how fast they came."""
    loop.hook("on_fit_start")
    began, batches, utterances, samples = time.monotonic(), 0, 0, 0.0
    for place, batch in loop.open_stream():
        if isinstance(batch, Unreadable):
            log.warning("cannot be read: %s: %s", ", ".join(batch.ids), batch.error)
        elif place.real:
            batches, utterances = batches + 1, utterances + len(batch.get("id", ()))
            samples += float(batch["wav_len"].sum()) if "wav_len" in batch else 0.0
        if place.last:
            break
    seconds = max(time.monotonic() - began, 1e-9)
    batches, utterances, samples = distributed.total([batches, utterances, samples])
    audio = f", {samples / RATE / seconds:,.0f} s of audio" if samples else ""
    log.info(
        "dry run: an epoch has %d batches, %d utterances; a second brought %.3g batches, %.4g utterances%s",
        batches, utterances, batches / seconds, utterances / seconds, audio,
    )  # fmt: skip


def no_optim(loop: Any) -> None:
    """Go through ``total_steps`` steps whose optimizers do not act, and say where the time goes."""
    loop.freeze_optimizers = lambda optimizers: []
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
        if step:  # the first one starts workers and allocates
            reading, computing = reading + read - began, computing + time.monotonic() - read
    stream.close()
    steps = max(1, loop.train["total_steps"] - 1)
    memory = ""
    if loop.device.type == "cuda":
        memory = f"; at most {torch.cuda.max_memory_allocated(loop.device) / 1e9:.2f} GB of the GPU were used"
    log.info(
        "no_optim: a step took %.4g s: %.0f %% waiting for data, the rest forward and backward%s",
        (reading + computing) / steps, 100 * reading / max(reading + computing, 1e-9), memory,
    )  # fmt: skip


def overfit_one_batch(loop: Any) -> None:
    """Train on the first batches for ``total_steps`` and say what became of their loss."""
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
    verdict = "it can learn it" if losses[-1] < LEARNT * losses[0] else "IT HAS NOT LEARNT IT"
    log.info("overfit_one_batch: the loss went from %.4g to %.4g in %d steps: %s", losses[0], losses[-1], step, verdict)
