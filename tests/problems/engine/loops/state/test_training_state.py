"""The state of a training in a checkpoint: each of its parts is saved and restored."""

from __future__ import annotations

import shutil

import pytest
import torch

from problems.engine.checkpoints.store import steps_in
from problems.engine.loops.base import Callback
from problems.engine.loops.state import training_state
from problems.engine.optim.scheduled_optimizer import OptimScheduler
from problems.engine.report.history import read_history
from problems.engine.runtime.errors import CheckpointError, TrainingError
from tests.parts.equality import equal
from tests.parts.least_squares import Fit, Points, loop_of


def test_early_stopping_leaves_a_checkpoint_and_a_longer_patience_goes_on(tmp_path):
    first = loop_of(tmp_path, total_steps=40, eval_step=2, save_step=1000, patience=2, log_step=1000)
    first.fit()
    assert first.progress.step == 6 and steps_in(tmp_path)[-1].name == "step_00000006"
    assert [r["step"] for r in read_history(tmp_path) if r["split"] == "train"] == [6]
    state = torch.load(steps_in(tmp_path)[-1] / "training.pt", weights_only=True)
    same = loop_of(tmp_path, total_steps=40, eval_step=2, patience=2)
    same.load_state_dict(state)
    assert same.finished
    longer = loop_of(tmp_path, total_steps=40, eval_step=2, save_step=1000, patience=4)
    longer.load_state_dict(state)
    longer.fit()
    assert longer.progress.step == 10


class Counting(Callback):
    """Counts its batches, and keeps the count in checkpoints."""

    batches = 0

    def on_fit_batch_end(self, loop, batch, output):
        self.batches += 1

    def state_dict(self):
        return {"batches": self.batches}

    def load_state_dict(self, state):
        self.batches = state["batches"]


def optimizers(task):
    optimizer = torch.optim.SGD(task.parameters(), lr=0.05, momentum=0.9)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    return [OptimScheduler(optimizer, scheduler=schedule)]


def loop(folder, callbacks=None, **train):
    callbacks = [Counting(), Callback()] if callbacks is None else callbacks
    return loop_of(folder, optimizers=optimizers, callbacks=callbacks, ema=0.9, **train)


@pytest.fixture(scope="module")
def trained_folder(tmp_path_factory):
    """The folder of a training of three steps."""
    folder = tmp_path_factory.mktemp("training")
    torch.manual_seed(3)
    loop(folder, total_steps=3, eval_step=1).fit()
    return folder


@pytest.fixture
def state(trained_folder):
    """The state in the last checkpoint."""
    return training_state.read(trained_folder / "step_00000003")


@pytest.mark.parametrize("part", ["progress", "ranking", "optimizers", "ema", "callbacks", "rng"])
def test_each_part_is_restored(trained_folder, state, tmp_path, part):
    torch.manual_seed(4)
    fresh = loop(shutil.copytree(trained_folder, tmp_path / "copy"), total_steps=3)
    assert not equal(fresh.state_dict()[part], state[part])
    fresh.load_state_dict(state)
    assert equal(fresh.state_dict()[part], state[part])


def test_the_loss_scale_is_restored(tmp_path):
    half = loop_of(tmp_path, precision="fp16")
    state = half.state_dict()
    half.load_state_dict(state | {"scaler": state["scaler"] | {"scale": 8.0}})
    assert half.scaler.get_scale() == 8


def test_steps_that_were_skipped_in_a_row_count_on(state, tmp_path):
    progress = state["progress"] | {"nonfinite": 5, "nonfinite_in_a_row": 2}
    spoiled = loop(tmp_path, task=Fit(Points(), dict.fromkeys(range(37), "nan")), total_steps=9)
    spoiled.load_state_dict(state | {"progress": progress})
    with pytest.raises(TrainingError, match="3 steps in a row"):
        spoiled.fit()


def test_a_schedule_over_other_steps_is_logged_once_planned_again(state, tmp_path, caplog):
    caplog.set_level("INFO")
    loop(tmp_path, total_steps=3).load_state_dict(state)
    assert "planned again" not in caplog.text
    loop(tmp_path, total_steps=5).load_state_dict(state)
    assert "the schedule is planned again from here: over 5 steps in all, not 3" in caplog.text


def test_another_number_of_callbacks_or_processes_is_logged(state, tmp_path, caplog):
    caplog.clear()
    loop(tmp_path).load_state_dict(state)
    assert "callbacks" not in caplog.text and "processes" not in caplog.text
    loop(tmp_path, callbacks=[]).load_state_dict(state)
    assert "this run has 0 callbacks, the checkpoint 2" in caplog.text
    loop(tmp_path).load_state_dict(state | {"rng": state["rng"] * 2})
    assert "saved by 2 processes; this training continues with 1" in caplog.text


def test_a_process_without_a_saved_generator_draws_from_its_own_seed(state, tmp_path):
    loop(tmp_path).load_state_dict(state | {"rng": []})
    first = torch.rand(1)
    loop(tmp_path).load_state_dict(state | {"rng": []})
    assert torch.equal(first, torch.rand(1))
    loop(tmp_path, seed=1).load_state_dict(state | {"rng": []})
    assert not torch.equal(first, torch.rand(1))


def test_a_folder_without_a_state_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="has no training.pt; to start from its weights alone, use --train.init"):
        training_state.read(tmp_path)


def test_the_newest_whole_checkpoint_is_continued(tmp_path):
    assert training_state.newest_everywhere(tmp_path) is None
    loop_of(tmp_path, total_steps=4, save_step=2, eval_step=1000).fit()
    (tmp_path / "step_00000004" / "manifest.json").unlink()
    assert training_state.newest_everywhere(tmp_path).name == "step_00000002"


def test_the_losses_since_the_last_line_are_part_of_it(tmp_path):
    stepped = loop_of(tmp_path)
    stepped.step([({"index": torch.arange(5)}, True)])
    progress = stepped.state_dict()["progress"]
    assert progress["weight_sum"] == 5 and progress["loss_sum"] == pytest.approx(float(Points().y[:5].square().sum()))
