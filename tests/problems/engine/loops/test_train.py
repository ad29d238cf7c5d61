"""The train loop: windows, units, patience, cadence. Its resumption is tested by kills, in test_resume.py."""

from __future__ import annotations

import math
import signal

import pytest
import torch

from dataset.loader import epoch_batches
from dataset.samplers.buckets import BucketBatchSampler
from problems.engine.checkpoints import averaging
from problems.engine.checkpoints.store import steps_in
from problems.engine.loops.progress import Progress
from problems.engine.report.history import read_history
from problems.engine.runtime.errors import Interrupted, TrainingError
from problems.engine.runtime.memory import is_out_of_memory
from tasks.base import StepOutput
from tests.parts.least_squares import Fit, Points, StoppedAt, loop_of, resumed, weights
from tests.parts.samplers import FixedBatchSampler


@pytest.mark.parametrize("count", [64, 37])
def test_accumulating_four_batches_of_eight_equals_one_of_32(tmp_path, count):
    """The ragged last window included: 37 utterances make windows of 32 and 5."""
    small = loop_of(tmp_path / "a", batch=8, shuffle=False, gradient_accumulate=4, count=count, gradient_clipping=1.0)
    large = loop_of(tmp_path / "b", batch=32, shuffle=False, count=count, gradient_clipping=1.0)
    small.fit(), large.fit()
    assert small.progress.step == large.progress.step == 6
    torch.testing.assert_close(weights(small), weights(large), rtol=0, atol=1e-6)


def test_the_remainder_of_an_epoch_is_a_step_of_its_own(tmp_path):
    loop = loop_of(tmp_path, gradient_accumulate=3, total_steps=4, epochs=2)
    loop.fit()
    assert loop.progress.step == 4  # 5 batches an epoch: windows of 3 and 2
    assert sorted(i for batch in loop.task.seen for i in batch) == sorted([*range(37), *range(37)])


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


def test_clipping_spans_all_groups(tmp_path):
    task = Fit(Points())
    task.extra = torch.nn.Parameter(torch.tensor([5.0]))
    plain = task.forward
    task.forward = lambda mode, index: StepOutput((o := plain(mode, index)).loss + 100 * task.extra.sum(), o.weight)
    optimizer = torch.optim.SGD([{"params": [task.model.weight]}, {"params": [task.extra]}], lr=1.0)
    loop = loop_of(tmp_path, task, optimizer=optimizer, total_steps=1, gradient_clipping=0.1)
    before = [p.detach().clone() for p in (task.model.weight, task.extra)]
    loop.fit()
    moved = torch.cat([(a - b.detach()).flatten() for a, b in zip(before, (task.model.weight, task.extra))])
    assert float(moved.norm()) == pytest.approx(0.1, rel=1e-3)


def test_gradients_that_are_not_finite_are_skipped_and_counted(tmp_path):
    loop = loop_of(tmp_path, Fit(Points(), {3: "nan"}), total_steps=10, log_step=10)
    loop.fit()
    assert torch.isfinite(weights(loop)).all()
    assert loop.progress.nonfinite == 2  # once in each of two epochs
    row = next(r for r in read_history(tmp_path) if r["split"] == "train")
    assert row["nonfinite"] == 2 and math.isfinite(row["loss"])


def test_patience_with_them_ends_before_weights_are_harmed(tmp_path):
    loop = loop_of(tmp_path, Fit(Points(), {i: "nan" for i in range(37)}), nonfinite_patience=2)
    with pytest.raises(TrainingError, match="3 steps in a row.*nonfinite_patience 2"):
        loop.fit()
    assert torch.equal(weights(loop), torch.zeros(1, 4))
    assert loop.progress.nonfinite == 3


def test_running_out_of_memory_on_one_batch_is_survived_and_said(tmp_path, caplog):
    loop = loop_of(tmp_path, Fit(Points(), {3: "oom"}), total_steps=5)
    loop.fit()
    assert loop.progress.step == 5 and loop.progress.out_of_memory == 1
    assert "out of memory" in caplog.text and "(1 so far)" in caplog.text


def test_a_batch_lost_in_a_window_leaves_the_mean_of_the_others(tmp_path):
    spoiled = loop_of(
        tmp_path / "a", Fit(Points(16), {0: "oom"}), shuffle=False, gradient_accumulate=2, count=16, total_steps=1
    )
    spoiled.fit()
    alone = loop_of(tmp_path / "b", Fit(Points(16)), shuffle=False, count=16, total_steps=1)
    alone.step([({"index": torch.arange(8, 16)}, True)])
    torch.testing.assert_close(weights(spoiled), weights(alone))


def test_which_errors_mean_out_of_memory():
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"))
    assert is_out_of_memory(RuntimeError("CUDA out of memory. Tried to allocate 20 MiB (GPU 0; 3 GiB total)"))
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_out_of_memory(ValueError("out of memory"))


def test_history_holds_the_mean_over_units_between_lines(tmp_path):
    task = Fit(Points())
    loop = loop_of(tmp_path, task, optimizer=torch.optim.SGD(task.parameters(), lr=0.0), total_steps=5, log_step=5)
    loop.fit()
    data = Points()
    expected = float(data.y.square().mean())  # weights stay zero: one epoch of 37 in batches of 8, the last of 5
    assert next(r for r in read_history(tmp_path) if r["split"] == "train")["loss"] == pytest.approx(expected, rel=1e-6)


def test_there_is_always_a_validation_and_a_checkpoint_at_the_end(tmp_path):
    loop = loop_of(tmp_path, total_steps=4, eval_step=1000, save_step=1000)
    loop.fit()
    assert [p.name for p in steps_in(tmp_path)] == ["step_00000004"]
    assert [r["step"] for r in read_history(tmp_path) if r["split"] == "valid"] == [4]


def test_early_stopping_counts_validations_without_a_better_value(tmp_path):
    values = iter([0.9, 0.5, 0.49, 0.48, 0.47, 0.1])
    loop = loop_of(
        tmp_path, validate=lambda: {"loss": next(values)}, total_steps=60, eval_step=2, patience=2, threshold=0.05
    )
    loop.fit()
    assert loop.progress.step == 8  # 0.49 and 0.48 are not better than 0.5 by more than 0.05
    assert steps_in(tmp_path)[-1].name == "step_00000008"


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


def test_epochs_are_counted_with_their_parts():
    assert Progress(epoch=2, position=1, batches=4).epochs == 2.25


def test_memory_that_runs_out_again_and_again_ends_the_training(tmp_path):
    class Hungry(Fit):
        def forward(self, mode, index):
            raise torch.OutOfMemoryError("CUDA out of memory")

    loop = loop_of(tmp_path, Hungry(Points()), nonfinite_patience=2)
    with pytest.raises(TrainingError, match="memory ran out in 3 steps in a row"):
        loop.fit()
    assert not steps_in(tmp_path)


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


def test_the_seed_decides_the_order_of_the_data():
    sampler = FixedBatchSampler(37, 8, shuffle=True)
    orders = [epoch_batches(sampler, seed, 1) for seed in (0, 1, 0)]
    assert orders[0] == orders[2] != orders[1]
    bucketed = BucketBatchSampler([1.0 + i / 37 for i in range(37)], batch_size=4, shuffle=True)
    orders = [epoch_batches(bucketed, seed, 1) for seed in (0, 1, 0)]
    assert orders[0] == orders[2] != orders[1]
    drawing = torch.utils.data.BatchSampler(
        torch.utils.data.RandomSampler(range(37), generator=torch.Generator()), 8, drop_last=False
    )
    assert epoch_batches(drawing, 0, 3) == epoch_batches(drawing, 0, 3) != epoch_batches(drawing, 0, 4)


def test_a_buffer_that_is_not_finite_ends_the_training(tmp_path):
    """The skipped step leaves the weights unharmed, but running statistics would stay non-finite."""

    class Normed(Fit):
        def __init__(self, data, spoil=None):
            super().__init__(data, spoil)
            self.register_buffer("mask", torch.tensor([-math.inf]))  # as it should be
            self.register_buffer("mean", torch.zeros(1))

        def forward(self, mode, index):
            output = super().forward(mode, index)
            self.mean += output.loss.detach()
            return output

    loop = loop_of(tmp_path, Normed(Points(), {3: "nan"}), total_steps=10)
    with pytest.raises(TrainingError, match="non-finite values in buffer mean.*resume from the last checkpoint"):
        loop.fit()


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
