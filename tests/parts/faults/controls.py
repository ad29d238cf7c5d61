"""Differences to plant in a training that resumes: each must be noticed, else nothing is proved by finding none."""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

State = dict[str, Any]
"""The state of a training in a checkpoint."""
KILLED_AT = 7
"""The step at which a training is killed, which then resumes from the sixth."""


def _generator(state: State) -> None:
    generator = state["rng"][0]["torch"]
    generator[40] = (int(generator[40]) + 1) % 256


def _schedule(state: State) -> None:
    (optimizer,) = state["optimizers"]
    optimizer["scheduler"]["last_epoch"] += 1


def _skip(state: State) -> None:
    state["progress"]["position"] += 1


def _twice(state: State) -> None:
    state["progress"]["position"] -= 1


def _moment(state: State) -> None:
    (optimizer,) = state["optimizers"]
    moments = optimizer["optimizer"]["state"]
    moments[next(iter(moments))]["exp_avg"].view(-1)[0] *= 1.001


def _weight(state: State) -> None:
    state["ema"]["weights"][0].view(-1)[0] *= 1.001


OF_STATE: dict[str, Callable[[State], None]] = {
    "a bit of the random generator": _generator,
    "a step of the schedule": _schedule,
    "a batch skipped": _skip,
    "a batch twice": _twice,
    "a moment of the optimizer": _moment,
    "a weight": _weight,
}


def _one_utterance_twice() -> None:
    """Let the first batch that is read have its first utterance twice."""
    from problems.engine.loops.train import TrainLoop

    plain = TrainLoop.fit_batch

    def fit_batch(loop: TrainLoop, batch: dict[str, Any], *arguments: Any) -> Any:
        TrainLoop.fit_batch = plain
        batch = {name: _with_first_twice(value, len(batch["id"])) for name, value in batch.items()}
        return plain(loop, batch, *arguments)

    TrainLoop.fit_batch = fit_batch


def _with_first_twice(value: Any, size: int) -> Any:
    """A value of a batch of ``size``, with its first entry in place of the second."""
    if isinstance(value, list) and len(value) != size:  # one tensor for each layer
        return [_with_first_twice(layer, size) for layer in value]
    value = value.clone() if isinstance(value, torch.Tensor) else list(value)
    value[1] = value[0]
    return value


CONTROLS = (*OF_STATE, "an utterance twice")


@dataclasses.dataclass(frozen=True)
class Plant:
    """Plants a difference of :data:`CONTROLS`; ``nothing`` plants none."""

    name: str

    def __call__(self) -> None:
        if self.name in OF_STATE:
            _alter_state(OF_STATE[self.name])
        elif self.name == "an utterance twice":
            _one_utterance_twice()


def _alter_state(change: Callable[[State], None]) -> None:
    """Change the state of a training when it is restored."""
    from problems.engine.loops.state import training_state

    plain = training_state.read

    def read(folder: Path) -> State:
        state = plain(folder)
        change(state)
        return state

    training_state.read = read


@dataclasses.dataclass(frozen=True)
class KillAfter:
    """Kills the process after so many steps."""

    steps: int

    def __call__(self) -> None:
        from problems.engine.loops.train import TrainLoop

        plain = TrainLoop.step

        def step(loop: TrainLoop, window: Any) -> None:
            plain(loop, window)
            if loop.progress.step == self.steps:
                os.kill(os.getpid(), signal.SIGKILL)

        TrainLoop.step = step
