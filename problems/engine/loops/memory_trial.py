"""A few training steps on given batches in place of a training: their time, and the memory at its peak."""

from __future__ import annotations

import dataclasses
import resource
import sys
import time
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from problems.engine.loops.train import TrainLoop

KEY = "memory_trial"
"""The entry of the section ``train`` with the :class:`MemoryTrial` that takes the measures."""
LAST_STEP = 10**9  # what a fine-tuning schedule releases late is trained too


@dataclasses.dataclass
class MemoryTrial:
    """The measures of a few steps.

    Args:
        batches: how many batches there are, each of which makes a step.
    """

    batches: int
    seconds: float = 0.0
    """Of the second step on the first batch: the first one also builds what later ones use."""
    peak: int = 0
    """Bytes: on a GPU those that torch reserved, else those of the process in RAM."""
    is_out_of_memory: bool = False


def run_trial(loop: TrainLoop) -> None:
    """Take a step on each batch, and one more on the first, and note the measures."""
    trial: MemoryTrial = loop.train[KEY]
    loop.task.train()
    _ = loop.optimizers
    loop.progress.step, seconds = LAST_STEP, 0.0
    stream = loop.open_stream()
    for _ in range(trial.batches + 1):
        window = loop.next_window(stream)
        began = time.monotonic()
        loop.step(window)
        if loop.device.type == "cuda":
            torch.cuda.synchronize(loop.device)
        seconds = time.monotonic() - began
        if loop.progress.out_of_memory:
            trial.is_out_of_memory = True
            break
    stream.close()
    trial.seconds = seconds
    trial.peak = torch.cuda.max_memory_reserved(loop.device) if loop.device.type == "cuda" else _most_resident()


def _most_resident() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
