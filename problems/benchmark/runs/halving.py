"""Successive halving: of trainings side by side, end the worse half early, and half of the rest, until one is left.

Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization", AISTATS 2016. Of n
trainings of T steps, with K = ceil(log2(n)), half are kept from T / 2^K steps on, half of those from T / 2^(K-1) on,
and so to one from T / 2 on. Compared is the best validation so far. What is kept follows from the histories alone, so a
search that was killed drops the same trainings.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from problems.benchmark.runs.trials import Trial


def rungs(count: int, total_steps: int) -> Iterator[tuple[float, int]]:
    """Yield the steps at which trainings are dropped, and how many are kept there."""
    halvings = math.ceil(math.log2(count)) if count > 1 else 0
    for number in range(halvings, 0, -1):
        count = math.ceil(count / 2)
        yield total_steps / 2**number, count


def steps_of(count: int, total_steps: int) -> float:
    """The steps that all of so many trainings take together."""
    before, steps = 0.0, 0.0
    for step, left in (*rungs(count, total_steps), (total_steps, 0)):
        steps += count * (step - before)
        before, count = step, left
    return steps


def kept(histories: Sequence[Sequence[tuple[int, float]]], step: int, total_steps: int) -> list[int]:
    """The numbers of the trainings that go on after their validation at ``step``; of equal ones the first.

    Args:
        histories: the (step, value) of each validation of each training; less is better.
    """
    left = list(range(len(histories)))
    for rung, count in rungs(len(histories), total_steps):
        if rung <= step:
            at = min((own for history in histories for own, _ in history if own >= rung), default=step)
            best = [min((value for own, value in history if own <= at), default=math.inf) for history in histories]
            left = sorted(left, key=best.__getitem__)[:count]
    return sorted(left)


class Halving:
    """Drops trainings in lockstep.

    Args:
        trials: all that are compared, those that have ended or were dropped before too.
        running: those that run, by the number of their lane.
    """

    def __init__(self, trials: Sequence[Trial], running: Sequence[Trial]):
        self.trials, self.running = trials, running

    def __call__(self, number: int, train: Mapping[str, Any], step: int) -> None:
        """Mark a training and raise :class:`Dropped` if it is not kept after its validation at ``step``.

        Args:
            train: the config's section, with ``total_steps`` filled in.
        """
        from problems.engine.loops.lockstep import Dropped

        metric, sign = train["valid_metric"], -1 if train["valid_higher_better"] else 1
        histories = [
            [(row["step"], sign * row[metric]) for row in trial.validations() if row.get(metric) is not None]
            for trial in self.trials
        ]
        left = [self.trials[place] for place in kept(histories, step, train["total_steps"])]
        if self.running[number] in left:
            return
        self.running[number].dropped.write_text(f"{step}\n", "utf-8")
        names = ", ".join(trial.name for trial in left)
        raise Dropped(f"dropped after {step} of {train['total_steps']} steps; better: {names}")
