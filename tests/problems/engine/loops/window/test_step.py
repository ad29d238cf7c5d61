"""One optimizer step: its mean over the units of a window, clipping, and the steps that are skipped."""

from __future__ import annotations

import math

import pytest
import torch

from problems.engine.loops.state.progress import Progress
from problems.engine.loops.window.failed_batches import BatchFailure
from problems.engine.loops.window.step import GradientWindow, StepTotals, add_gradients, named_loss
from problems.engine.optim.optimizers import MAIN
from problems.engine.optim.scheduled_optimizer import OptimScheduler
from problems.engine.report.history import read_history
from problems.engine.runtime.errors import ConfigError, DivergedError, TrainingError
from tasks.base import StepOutput
from tests.parts.least_squares import Fit, Points, loop_of, weights


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
    with pytest.raises(DivergedError, match="3 steps in a row.*nonfinite_patience 2"):
        loop.fit()
    assert torch.equal(weights(loop), torch.zeros(1, 4))
    assert loop.progress.nonfinite == 3


def test_a_batch_lost_in_a_window_leaves_the_mean_of_the_others(tmp_path):
    spoiled = loop_of(
        tmp_path / "a", Fit(Points(16), {0: "oom"}), shuffle=False, gradient_accumulate=2, count=16, total_steps=1
    )
    spoiled.fit()
    alone = loop_of(tmp_path / "b", Fit(Points(16)), shuffle=False, count=16, total_steps=1)
    alone.step([({"index": torch.arange(8, 16)}, True)])
    torch.testing.assert_close(weights(spoiled), weights(alone))


def test_history_holds_the_mean_over_units_between_lines(tmp_path):
    task = Fit(Points())
    loop = loop_of(tmp_path, task, optimizer=torch.optim.SGD(task.parameters(), lr=0.0), total_steps=5, log_step=5)
    loop.fit()
    data = Points()
    expected = float(data.y.square().mean())  # weights stay zero: one epoch of 37 in batches of 8, the last of 5
    assert next(r for r in read_history(tmp_path) if r["split"] == "train")["loss"] == pytest.approx(expected, rel=1e-6)


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


CPU = torch.device("cpu")


def batch(*indices):
    return {"index": torch.tensor(indices)}


def after(tmp_path, *window, **train):
    """The weights after one step over a window of (batch, is_counted)."""
    loop = loop_of(tmp_path, **train)
    loop.step(list(window))
    return weights(loop)


def test_a_batch_that_does_not_count_changes_neither_gradient_nor_units(tmp_path):
    """The others of its window count as if it were not there; alone, it moves nothing, though the step is taken."""
    alone = after(tmp_path, (batch(0, 1, 2), True))
    torch.testing.assert_close(after(tmp_path, (batch(0, 1, 2), True), (batch(3, 4), False)), alone)
    loop = loop_of(tmp_path)
    loop.step([(batch(3, 4), False)])
    assert torch.equal(weights(loop), torch.zeros(1, 4)) and loop.progress.step == 1
    assert loop.totals.sums.tolist() == [0, 0]


def test_each_utterance_of_a_window_counts_once(tmp_path):
    whole = after(tmp_path, (batch(0, 1, 2, 3), True))
    torch.testing.assert_close(after(tmp_path, (batch(0), True), (batch(1, 2, 3), True)), whole)


def test_one_utterance_is_enough_for_a_step(tmp_path):
    data = Points()
    expected = 0.05 * 2 * data.y[0] * data.x[:1]
    torch.testing.assert_close(after(tmp_path, (batch(0), True)), expected)


def test_the_totals_of_a_step_are_its_summed_loss_and_its_units(tmp_path):
    loop = loop_of(tmp_path)
    loop.step([(batch(0, 1, 2), True), (batch(3, 4), True)])
    loop.read_totals()
    squares = Points().y[:5].square()
    assert loop.progress.take_loss() == pytest.approx((float(squares.sum()), 5.0))
    loop.read_totals()
    assert loop.progress.take_loss() == (0.0, 0.0), "each step is read once"


def test_only_windows_of_one_batch_on_one_process_are_left_unscaled(tmp_path):
    loop = loop_of(tmp_path)
    loop.step([(batch(0, 1), True)])
    assert loop.window.is_unscaled
    loop.step([(batch(0, 1), True), (batch(2), True)])
    assert not loop.window.is_unscaled
    loop.optimizers[0].step_per_update = 2  # the gradients of two steps are summed
    loop.step([(batch(0, 1), True)])
    assert not loop.window.is_unscaled


def test_a_limit_above_the_gradient_norm_changes_no_bit_and_one_below_scales(tmp_path):
    window = (batch(0, 1, 2), True)
    free = loop_of(tmp_path)
    free.step([window])
    norm = float(free.grad_norm)
    assert torch.equal(after(tmp_path, window, gradient_clipping=1.001 * norm), weights(free))
    half = after(tmp_path, window, gradient_clipping=norm / 2)
    torch.testing.assert_close(half, weights(free) / 2, rtol=1e-5, atol=0)
    assert torch.equal(after(tmp_path, window, gradient_clipping=0.0), torch.zeros(1, 4))


def test_the_gradient_norm_is_that_of_the_mean_before_clipping(tmp_path):
    window = [(batch(0, 1, 2), True), (batch(3, 4), True)]
    clipped = loop_of(tmp_path, gradient_clipping=0.1)
    clipped.step(window)
    data = Points()
    gradient = -2 * (data.y[:5, None] * data.x[:5]).mean(dim=0)  # of weights of zero
    assert float(clipped.grad_norm) == pytest.approx(float(gradient.norm()), rel=1e-6)


def totals_after(*are_finite, patience=2):
    totals, window = StepTotals(Fit(Points()), CPU, patience), GradientWindow(CPU)
    for is_finite in are_finite:
        window.open(is_unscaled=False)
        window.add(StepOutput(torch.tensor(2.0), 3.0), 3.0)
        totals.add(window, torch.tensor(is_finite))
    return totals


def test_a_skipped_step_adds_no_loss_and_no_units():
    progress = Progress(step=3)
    totals_after(True, False, True).read(progress, is_main=True, is_searching_scale=False)
    assert progress.take_loss() == (12.0, 6.0) and progress.nonfinite == 1 and progress.nonfinite_in_a_row == 0


def test_only_the_main_process_takes_the_sums():
    progress = Progress(step=1)
    totals_after(True).read(progress, is_main=False, is_searching_scale=False)
    assert progress.take_loss() == (0.0, 0.0)


def test_as_many_steps_may_be_skipped_in_a_row_as_the_patience_allows():
    totals_after(False, False, True, False, False).read_skipped(Progress(), 5, is_searching_scale=False)
    with pytest.raises(TrainingError, match="3 steps in a row"):
        totals_after(False, False, False, True).read_skipped(Progress(), 4, is_searching_scale=False)
    totals_after(False, False, False).read_skipped(Progress(), 3, is_searching_scale=True)


def test_steps_that_were_counted_before_are_not_logged_again(caplog):
    totals, progress = totals_after(False, True), Progress()
    totals.read_skipped(progress, 2, is_searching_scale=False)
    assert "step 2 (epoch 0.00) is skipped: non-finite gradients (1 so far)" in caplog.text
    caplog.clear()
    totals.read_skipped(progress, 2, is_searching_scale=False)
    assert caplog.text == ""


def test_a_window_that_is_discarded_counts_nothing():
    window = GradientWindow(CPU)
    window.open(is_unscaled=True)
    window.add(StepOutput(torch.tensor(2.0), 3.0), 3.0)
    assert window.sums.tolist() == [6.0, 3.0] and window.scaled(torch.tensor(2.0), 3.0) == 2
    window.open(is_unscaled=False)
    assert window.sums.tolist() == [0, 0] and window.units == 0 and window.scaled(torch.tensor(2.0), 3.0) == 6


def test_processes_agree_on_units_flags_and_failures():
    window = GradientWindow(CPU)
    window.open(is_unscaled=False)
    window.add(StepOutput(torch.tensor(2.0), 3.0), 3.0)
    failure = BatchFailure(out_of_memory=True, text="too long")
    window.failures.append(failure)
    assert window.agree(True, False) == (3.0, [True, False], [failure])


def test_a_loss_that_the_task_lacks_is_named():
    output = StepOutput(torch.tensor(1.0), 1.0, {}, {"ctc": torch.tensor(2.0)})
    assert named_loss(output, MAIN) == 1 and named_loss(output, "ctc") == 2
    with pytest.raises(ConfigError, match="optim_loss: the task's output.losses has no 'cct'; it has: ctc"):
        named_loss(output, "cct")


def test_the_schedule_is_stepped_once_a_step_and_never_past_the_end(tmp_path):
    loop = loop_of(tmp_path, total_steps=4)
    times = []
    loop.advance_schedules = lambda when, metric=None: times.append(when)
    for _ in range(6):
        loop.step([(batch(0, 1), True)])
    assert times == ["step"] * 4


def test_each_loss_moves_the_parameters_of_its_optimizers_alone():
    first, second, unused = (torch.nn.Parameter(torch.tensor([value])) for value in (2.0, 3.0, 1.0))
    optimizers = [
        OptimScheduler(torch.optim.SGD([first, unused], lr=1.0)),
        OptimScheduler(torch.optim.SGD([second], lr=1.0), loss="other"),
    ]
    for number in (1, 2):
        product = first * second  # the losses share this part of their graph
        add_gradients({MAIN: (product + 5 * second).sum(), "other": (product + 7 * first).sum()}, optimizers)
        assert (first.grad, second.grad, unused.grad) == (3 * number, 2 * number, None), "gradients are added"
