"""The steps at which training validates and saves, which checkpoints stay, and when schedules are stepped."""

from __future__ import annotations

import json
import signal
import threading

import pytest
import torch

from problems.engine.checkpoints.background import later
from problems.engine.checkpoints.store import Rule, steps_in
from problems.engine.loops.cadence import best_rules
from problems.engine.optim.lr_schedules import NewBob, build_scheduler, planned
from problems.engine.optim.scheduled_optimizer import OptimScheduler
from problems.engine.report.history import read_history
from problems.engine.runtime.errors import CheckpointError, Interrupted
from tests.parts.least_squares import DEFAULTS, Fit, Points, StoppedAt, loop_of, resumed


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
        tmp_path,
        validate=validate,
        total_steps=5,
        eval_step=1,
        save_step=1,
        keep_num_ckpts=1,
        keep_best_ckpts=2,
        best_rules=rules,
    )
    loop.fit()
    assert best(tmp_path) == {
        "loss min": ["step_00000005", "step_00000002"],
        "score max": ["step_00000004", "step_00000002"],
    }
    assert steps(tmp_path) == ["2", "4", "5"]


def test_a_rule_without_keep_keeps_one():
    train = DEFAULTS | {"best_rules": [{"metric": "score", "higher_better": True}]}
    assert best_rules(train)["score max"] == Rule("score", higher_better=True, keep=1)


def test_validation_by_epochs(tmp_path):
    loop_of(tmp_path, batch=10, total_steps=20, eval_step=None, valid_per_epochs=2).fit()
    assert [r["step"] for r in read_history(tmp_path) if r["split"] == "valid"] == [8, 16, 20]  # 4 batches an epoch


@pytest.mark.parametrize("minutes, expected", [(0.0, [1, 2, 3]), (60.0, [3])])
def test_checkpoints_by_the_clock(tmp_path, minutes, expected):
    """They are interim: the next planned one takes their place."""
    loop = loop_of(tmp_path, total_steps=3, save_step=1000, save_minutes=minutes, eval_step=1000)
    save, saved = loop.cadence.checkpoints.start_saving, []
    loop.cadence.checkpoints.start_saving = lambda step, *args: (saved.append(step), save(step, *args))
    loop.fit()
    assert saved == expected
    assert steps(tmp_path) == ["3"]


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


def test_checkpoints_by_epochs(tmp_path):
    loop_of(tmp_path, batch=10, total_steps=9, save_step=None, save_per_epochs=1, eval_step=None).fit()
    assert steps(tmp_path) == ["4", "8", "9"], "4 batches an epoch, and one checkpoint at the end"


def test_checkpoints_at_the_end_only(tmp_path):
    loop_of(tmp_path, total_steps=5, save_step=None, eval_step=None).fit()
    assert steps(tmp_path) == ["5"]


def test_of_two_equal_validations_the_one_with_the_lower_loss_is_the_best(tmp_path):
    values = iter([(0.0, 0.041), (0.0, 0.016), (0.0, 0.020), (0.0, 0.016)])

    def validate():
        wer, loss = next(values)
        return {"wer": wer, "loss": loss}

    settings = {"total_steps": 4, "eval_step": 1, "save_step": 1, "valid_metric": "wer", "keep_best_ckpts": 3}
    first = loop_of(tmp_path, validate=validate, **settings | {"total_steps": 3})
    first.fit()
    resumed(loop_of(tmp_path, first.task, validate=validate, **settings), tmp_path).fit()
    assert best(tmp_path)["wer min"] == ["step_00000002", "step_00000004", "step_00000003"]


def test_each_parameter_group_logs_its_rate(tmp_path):
    task = Fit(Points())
    task.extra = torch.nn.Parameter(torch.zeros(1))
    groups = [{"params": [task.model.weight], "lr": 0.1}, {"params": [task.extra], "lr": 0.01}]
    loop_of(tmp_path, task, optimizer=torch.optim.SGD(groups)).fit()
    row = next(row for row in read_history(tmp_path) if row["split"] == "train")
    assert (row["lr"], row["lr/1"]) == (0.1, 0.01)


def test_the_first_rate_after_an_extension_is_that_of_the_new_plan(tmp_path):
    def optimizers(total):
        def build(task):
            optimizer = torch.optim.SGD(task.parameters(), lr=1.0)
            schedule = {"name": "warmup_linear", "conf": {"warmup": 0}, "every": None}
            return [OptimScheduler(optimizer, scheduler=build_scheduler(planned(schedule, total, 1), optimizer))]

        return build

    first = loop_of(tmp_path, optimizers=optimizers(4), total_steps=4, save_step=2, log_step=1)
    first.fit()
    longer = resumed(loop_of(tmp_path, first.task, optimizers=optimizers(8), total_steps=8, log_step=1), tmp_path)
    rates = []
    longer.on_fit_batch_start = lambda batch: rates.append(longer.optimizers[0].optimizer.param_groups[0]["lr"])
    longer.fit()
    assert rates == pytest.approx([1 - step / 8 for step in range(4, 8)])


def test_there_is_always_a_validation_and_a_checkpoint_at_the_end(tmp_path):
    loop = loop_of(tmp_path, total_steps=4, eval_step=1000, save_step=1000)
    loop.fit()
    assert [p.name for p in steps_in(tmp_path)] == ["step_00000004"]
    assert [r["step"] for r in read_history(tmp_path) if r["split"] == "valid"] == [4]


def test_the_loss_is_logged_at_multiples_of_log_step_and_at_the_end(tmp_path):
    loop_of(tmp_path, total_steps=5, log_step=2).fit()
    assert [row["step"] for row in read_history(tmp_path) if row["split"] == "train"] == [2, 4, 5]


def test_a_validation_saves_only_what_is_among_the_best(tmp_path):
    values = iter([2.0, 3.0, 1.0, 4.0, 5.0])
    loop = loop_of(
        tmp_path, validate=lambda: {"loss": next(values)}, total_steps=5, eval_step=1, save_step=None, keep_best_ckpts=1
    )
    loop.fit()
    assert steps(tmp_path) == ["1", "3", "5"], "and the last step"


def test_a_signal_in_a_validation_ends_it_at_once_and_the_training_is_saved(tmp_path):
    validations = []

    def validate():
        signal.raise_signal(signal.SIGTERM)
        validations.append("done")
        return {"loss": 1.0}

    loop = loop_of(tmp_path, validate=validate, total_steps=4, eval_step=2, save_step=1000)
    with pytest.raises(Interrupted, match="saved at step 2, before its validation; run the same command to continue"):
        loop.fit()
    assert validations == [] and steps(tmp_path) == ["2"]


def test_validation_leaves_no_trace_in_what_training_draws(tmp_path):
    def draw():
        torch.rand(100)
        return {"loss": 1.0}

    torch.manual_seed(0)
    loop_of(tmp_path / "a", validate=draw, eval_step=1).fit()
    often = torch.rand(1)
    torch.manual_seed(0)
    loop_of(tmp_path / "b", validate=draw, eval_step=6).fit()
    assert torch.equal(often, torch.rand(1))


def test_a_validation_that_is_done_again_is_in_the_history_once(tmp_path):
    """Stopped before a validation, and killed between that validation and the checkpoint after it."""
    cadence = {"total_steps": 6, "eval_step": 3, "save_step": 4}
    cut = loop_of(tmp_path, callbacks=[StoppedAt(3)], **cadence)
    with pytest.raises(Interrupted):
        cut.fit()
    killed = resumed(loop_of(tmp_path, cut.task, **cadence), tmp_path)
    killed.save = lambda folder: 1 / 0
    with pytest.raises(ZeroDivisionError):
        killed.fit()
    resumed(loop_of(tmp_path, cut.task, **cadence), tmp_path).fit()
    assert [row["step"] for row in read_history(tmp_path) if row["split"] == "valid"] == [3, 6]


def test_the_history_is_closed_at_the_end_and_after_an_error(tmp_path):
    ended = loop_of(tmp_path / "ended", total_steps=1)
    failed = loop_of(tmp_path / "failed", validate=lambda: 1 / 0, total_steps=1)
    ended.fit()
    with pytest.raises(ZeroDivisionError):
        failed.fit()
    for loop in (ended, failed):
        history, _ = loop.cadence.sinks
        assert history.file.closed


def test_a_checkpoint_that_cannot_be_written_ends_the_training_at_the_next_one(tmp_path):
    def full(folder):
        if loop.progress.step == 2:
            later(lambda: (folder / "missing" / "file").write_text("no such folder"))

    loop = loop_of(tmp_path, total_steps=9, save_step=2, eval_step=None)
    loop.save = full
    with pytest.raises(CheckpointError, match="step_00000002: No such file"):
        loop.fit()
    assert loop.progress.step == 4 and steps(tmp_path) == []


def test_the_steps_after_a_save_leave_its_checkpoint_as_it_was(tmp_path):
    """The thread writes the third step's state only after the sixth step."""
    gate = threading.Event()
    loop = loop_of(tmp_path, total_steps=6, save_step=3, eval_step=None)
    loop.save = lambda folder: later(gate.wait)
    loop.on_fit_batch_end = lambda batch, output: loop.progress.step == 5 and gate.set()
    loop.fit()
    saved = torch.load(tmp_path / "step_00000003" / "training.pt", weights_only=True)
    assert saved["progress"]["step"] == 3 and saved["progress"]["position"] == 3
