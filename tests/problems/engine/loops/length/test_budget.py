"""A budget: trainings are planned over the speed that is measured, and runs end in time."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable

import pytest
import torch

from problems.asr import ASR
from problems.engine.checkpoints.store import steps_in
from problems.engine.cli.main import execute
from problems.engine.loops.length import budget as module
from problems.engine.loops.length.budget import Budget
from problems.engine.loops.state.progress import Progress
from problems.engine.runtime.formatting import seconds_of
from tests.parts.configs import refused
from tests.parts.processes import finish, launch, options_of, rows

AUTO = (
    "--train.eval_step=auto",
    "--train.save_step=auto",
    "--train.use_scheduler=true",
    "--train.patience=null",
    "--stop=2",
)


class Clock:
    """A training by a clock that only its work moves.

    Args:
        step_seconds: from the seconds so far to those of a step.
    """

    def __init__(self, monkeypatch, step_seconds: Callable[[float], float], validation: float, wanted: int = 20):
        self.now, self.step_seconds, self.validation, self.wanted = 0.0, step_seconds, validation, wanted
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)

    def train(self, budget: Budget, progress: Progress, until: float = float("inf")) -> int:
        """Train to the planned end, or until a time; return the validations."""
        budget.begin(progress)
        budget.evaluation = self.validation  # estimated from one batch before the training
        total, interval, validations = 20000, 1000, 0

        def plan() -> None:
            nonlocal total, interval
            if budget.is_due(progress, total) and (steps := budget.total_steps(progress, self.wanted)):
                total, interval = steps, -(-steps // budget.most_validations(self.wanted))

        while progress.step < total and self.now < until:
            self.now += self.step_seconds(self.now) * (5 if progress.step < 3 else 1)
            progress.step += 1
            plan()
            if progress.step - max(0, progress.validated) >= interval or progress.step >= total:
                self.now += self.validation
                progress.validated, validations = progress.step, validations + 1
                budget.validated(self.validation)
                if progress.step < total:
                    plan()
        progress.seconds = budget.used()
        return validations


@pytest.mark.parametrize("validation", [0.0, 0.5, 4.0, 30.0])
@pytest.mark.parametrize(
    "step_seconds",
    [
        lambda now: 0.1,
        lambda now: 0.02,
        lambda now: 1.0,
        lambda now: 0.05 if now < 60 else 0.2,
        lambda now: 0.2 - now / 700,
    ],
)
def test_a_training_ends_in_time_whatever_the_speed(monkeypatch, step_seconds, validation):
    clock, progress = Clock(monkeypatch, step_seconds, validation), Progress()
    budget = Budget(120.0, started=0.0, tests=1.0, after=5.0)
    validations = clock.train(budget, progress)
    ended = clock.now + validation + 5
    slack = 12  # 10 %
    assert ended <= 120 + slack
    assert ended >= 120 - slack - validation
    assert 1 <= validations <= 40


def test_validations_take_a_fifth_of_the_time_at_most(monkeypatch):
    clock = Clock(monkeypatch, lambda now: 0.05, validation=6.0)
    assert clock.train(Budget(120.0, started=0.0), Progress()) <= 5


def test_interrupted_runs_count(monkeypatch):
    clock, progress = Clock(monkeypatch, lambda now: 0.1, 0.5), Progress()
    clock.train(Budget(120.0, started=0.0), progress, until=70)
    assert progress.seconds == pytest.approx(70, abs=1)
    clock.now = 1000.0
    clock.train(Budget(120.0, started=990.0), progress)  # 10 s before it trains
    assert clock.now == pytest.approx(1000 + 120 - 70 - 10, abs=5)


def test_without_time_left_the_training_ends_at_once(monkeypatch):
    clock, progress = Clock(monkeypatch, lambda now: 0.1, 0.5), Progress()
    clock.now = 200.0
    clock.train(Budget(120.0, started=0.0), progress)
    assert progress.step <= 2 * module.WARM_UP + 1


def test_the_schedule_ends_with_the_budget_and_a_kill_loses_nothing_of_it(tiny, tmp_path):
    options = options_of(tiny, "--budget=8s", *AUTO)
    train_dir = tmp_path / "run" / "train"
    process = launch(tmp_path / "run", options)
    while len(steps_in(train_dir)) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    state = torch.load(steps_in(train_dir)[-1] / "training.pt", weights_only=True)
    assert state["progress"]["seconds"] > 0
    finish(launch(tmp_path / "run", options))
    last = torch.load(steps_in(train_dir)[-1] / "training.pt", weights_only=True)
    assert last["progress"]["step"] == last["total_steps"] > state["progress"]["step"]
    assert last["progress"]["seconds"] > state["progress"]["seconds"]
    assert rows(tmp_path / "run", "train")[-1]["lr"] < 5e-4  # of 0.01
    assert json.loads((train_dir / "best.json").read_text())
    assert "every stage is done" in finish(launch(tmp_path / "run", options))


def test_the_first_screen_tells_the_budget_and_later_ones_extend_it(tiny, tmp_path, capfd):
    assert execute(ASR(), ["run", *tiny, "--budget=3s", *AUTO]) == 0
    text = capfd.readouterr().err
    assert re.search(r"^  training  as many steps as 3.0 s allow of 4 utterances$", text, re.M)
    before = steps_in(tmp_path / "run" / "train")[-1]
    assert execute(ASR(), ["run", *tiny, "--budget=5s", *AUTO]) == 0
    assert steps_in(tmp_path / "run" / "train")[-1].name > before.name


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("5m", 300), ("1.5h", 5400), ("2 m", 120), (40, 40), (0.5, 0.5)]
)
def test_times_are_read(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["soon", "0", "-5m", "5 weeks", "5m30s", "m"])
def test_what_is_no_time_is_refused_before_any_work(tiny, tmp_path, capsys, text):
    assert execute(ASR(), ["run", *tiny, f"--budget={text}"]) == 2
    assert "is not a time: expected one such as 90s, 5m or 2h" in capsys.readouterr().err
    assert not (tmp_path / "run" / "data").exists()


def test_epochs_and_a_budget_exclude_each_other(tiny, capsys):
    assert execute(ASR(), ["run", *tiny, "--budget=5m", "--train.epochs=3", "--train.total_steps=null"]) == 2
    assert "budget and train.epochs each set the length" in capsys.readouterr().err


def test_a_budget_is_no_list():
    assert "budget: expected" in refused("budget=[5]")
