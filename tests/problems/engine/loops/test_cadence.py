"""When training validates and saves, which checkpoints stay, and when schedules are stepped."""

from __future__ import annotations

import json

import pytest
import torch

from problems.engine.checkpoints.store import steps_in
from problems.engine.loops.history import read_history
from problems.engine.optim.lr_schedules import NewBob
from problems.engine.optim.scheduled_optimizer import OptimScheduler
from tests.parts.least_squares import loop_of


def best(folder):
    return json.loads((folder / "best.json").read_text())


def steps(folder):
    return [p.name.removeprefix("step_0000000") for p in steps_in(folder)]


def test_each_rule_keeps_its_own_and_the_first_is_the_primary(tmp_path):
    values = iter([(0.5, 1.0), (0.3, 3.0), (0.4, 2.0), (0.6, 9.0), (0.2, 0.0)])

    def validate():
        wer, score = next(values)
        return {"loss": wer, "score": score}

    rules = [{"metric": "score", "higher_better": True, "keep": 2}]
    loop = loop_of(
        tmp_path, validate=validate, total_steps=5, eval_step=1, save_step=1, keep_num_ckpts=1, keep_best_ckpts=2,
        best_rules=rules,
    )  # fmt: skip
    loop.fit()
    assert best(tmp_path) == {
        "loss min": ["step_00000005", "step_00000002"],
        "score max": ["step_00000004", "step_00000002"],
    }
    assert steps(tmp_path) == ["2", "4", "5"]


def test_validation_by_epochs(tmp_path):
    loop_of(tmp_path, batch=10, total_steps=20, eval_step=None, valid_per_epochs=2).fit()
    assert [r["step"] for r in read_history(tmp_path) if r["split"] == "valid"] == [8, 16, 20]  # 4 batches an epoch


def test_checkpoints_by_the_clock(tmp_path):
    loop_of(tmp_path, total_steps=3, save_step=1000, save_minutes=0.0, eval_step=1000).fit()
    assert steps(tmp_path) == ["1", "2", "3"]


def test_a_schedule_that_goes_by_the_metric_is_stepped_at_validations(tmp_path):
    def optimizers(task):
        optimizer = torch.optim.SGD(task.parameters(), lr=0.4)
        return [OptimScheduler(optimizer, scheduler=NewBob(optimizer), every="validation")]

    loop = loop_of(tmp_path, optimizers=optimizers, total_steps=6, eval_step=2)
    loop.fit()
    assert loop.optimizers[0].optimizer.param_groups[0]["lr"] == pytest.approx(0.1)  # 1.0 three times: two halvings


def test_a_schedule_by_epochs_is_stepped_at_their_ends(tmp_path):
    def optimizers(task):
        optimizer = torch.optim.SGD(task.parameters(), lr=1.0)
        return [
            OptimScheduler(optimizer, scheduler=torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5), every="epoch")
        ]

    loop = loop_of(tmp_path, optimizers=optimizers, total_steps=12, batch=10)
    loop.fit()
    assert loop.optimizers[0].optimizer.param_groups[0]["lr"] == 0.125  # three epochs of 4 batches
