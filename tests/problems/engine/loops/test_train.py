"""The train loop as a whole: it learns what a plain loop learns, and stops where a signal asks it to.

Its resumption is tested by kills, in test_resume.py.
"""

from __future__ import annotations

import signal

import pytest
import torch

from problems.engine.checkpoints import averaging
from problems.engine.checkpoints.store import steps_in
from problems.engine.loops.base import Callback
from problems.engine.loops.train import TrainLoop
from problems.engine.runtime.errors import Interrupted
from tests.parts.least_squares import Fit, Points, StoppedAt, loop_of, resumed, weights


def test_it_learns_what_a_plain_loop_learns(tmp_path):
    loop = loop_of(tmp_path, total_steps=10, gradient_clipping=0.5)
    loop.fit()
    task = Fit(Points())
    optimizer = torch.optim.SGD(task.parameters(), lr=0.05)
    for batch in loop.task.seen:
        optimizer.zero_grad()
        task("train", index=torch.tensor(batch)).loss.backward()
        torch.nn.utils.clip_grad_norm_(task.parameters(), 0.5)
        optimizer.step()
    assert torch.equal(weights(loop), task.model.weight)
    assert sorted(i for batch in loop.task.seen[:5] for i in batch) == list(range(37))


class Spare(Callback):
    """Leaves a gradient of a parameter that no optimizer moves, and counts the batches that find one."""

    def __init__(self, parameter):
        self.parameter, self.found = parameter, 0

    def on_fit_batch_start(self, loop, batch):
        self.found += self.parameter.grad is not None

    def on_fit_batch_end(self, loop, batch, output):
        self.parameter.grad = torch.ones(())


def test_gradients_that_no_optimizer_uses_are_dropped_too(tmp_path):
    loop = loop_of(tmp_path, total_steps=4)
    _ = loop.optimizers
    loop.task.spare = torch.nn.Parameter(torch.zeros(()))
    loop.callbacks = [spare] = [Spare(loop.task.spare)]
    loop.fit()
    assert spare.found == 0 and spare.parameter.grad is not None


def test_a_training_that_was_stopped_leaves_the_checkpoints_and_the_average_of_one_that_was_not(tmp_path):
    cadence = {"total_steps": 12, "eval_step": 5, "save_step": 4, "keep_num_ckpts": 2}
    loop_of(tmp_path / "whole", **cadence).fit()
    cut = loop_of(tmp_path / "cut", callbacks=[StoppedAt(11)], **cadence)
    with pytest.raises(Interrupted):
        cut.fit()
    assert [p.name for p in steps_in(tmp_path / "cut")][-1] == "step_00000011"
    resumed(loop_of(tmp_path / "cut", cut.task, **cadence), tmp_path / "cut").fit()
    whole, after = ([p.name for p in averaging.members(tmp_path / n, "newest", 2)] for n in ("whole", "cut"))
    assert after == whole == ["step_00000012", "step_00000008"]
    assert [p.name for p in steps_in(tmp_path / "cut")] == [p.name for p in steps_in(tmp_path / "whole")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_last_checkpoint_ends_the_run_there(tmp_path, number):
    """The training is finished and saved, but the run does not go on to the next stage."""
    loop = loop_of(tmp_path, total_steps=4, save_step=4, eval_step=4)
    loop.save = lambda folder: setattr(loop.stop, "signal", number)
    with pytest.raises(Interrupted, match="the training is done and saved"):
        loop.fit()
    assert steps_in(tmp_path)[-1].name == "step_00000004"


def test_a_signal_in_the_last_step_ends_the_run_there(tmp_path):
    loop = loop_of(tmp_path, total_steps=4, save_step=4, callbacks=[StoppedAt(4)])
    with pytest.raises(Interrupted, match="saved at step 4"):
        loop.fit()
    assert steps_in(tmp_path)[-1].name == "step_00000004"


@pytest.mark.parametrize(
    ("name", "place"), [("after_step", "Cadence"), ("save_checkpoint", "Cadence"), ("fit_window", "step")]
)
def test_a_subclass_that_overrides_a_method_that_has_moved_is_refused(name, place):
    with pytest.raises(TypeError, match=rf"Own\.{name} would never be called: .*{place}"):
        type("Own", (TrainLoop,), {name: lambda self: None})
