"""Sub-batches in a step: weighted as their formula says, logged by set, left out alone."""

from __future__ import annotations

import pytest
import torch

from dataset.loader import LoaderSettings, Place, train_stream
from dataset.samplers.random import RandomBatchSampler
from dataset.samplers.sets import SetsBatchSampler
from problems.engine.loops.window.sub_batches import SubBatches, with_sets
from problems.engine.report.history import TIMES, read_history
from problems.engine.runtime.errors import Interrupted
from tests.parts.least_squares import Fit, Points, StoppedAt, loop_of, resumed, weights
from tests.parts.samplers import Lengths


def batch(*indices):
    return {"index": torch.tensor(indices)}


def sub_batches(a, b, w_a=1.0, w_b=1.0):
    return SubBatches({"a": batch(*a), "b": batch(*b)}, {"a": w_a, "b": w_b})


def test_a_batch_of_a_place_without_sets_is_itself():
    one = batch(0)
    assert with_sets(Place(0, 1, 2, True), one) is one


@pytest.mark.parametrize(("w_a", "w_b"), [(1.0, 1.0), (0.25, 3.0)])
def test_the_gradient_is_the_mean_over_weighted_utterances(tmp_path, w_a, w_b):
    """From weights of 0, g = -2 sum(w_i y_i x_i) / sum(w_i)."""
    loop, data = loop_of(tmp_path), Points()
    loop.step([(sub_batches((0, 1, 2), (3, 4), w_a, w_b), True)])
    own = torch.tensor([w_a] * 3 + [w_b] * 2)
    gradient = -2 * (own * data.y[:5]) @ data.x[:5] / own.sum()
    torch.testing.assert_close(weights(loop)[0], -0.05 * gradient)
    loop.read_totals()
    squares = data.y[:5].square()
    loss, units = loop.progress.take_loss()
    assert (loss, units) == pytest.approx((float((own * squares).sum()), float(own.sum())))
    by_set = {"loss/a": float(squares[:3].mean()), "loss/b": float(squares[3:].mean())}
    assert loop.progress.take_named() == pytest.approx(by_set) and loop.progress.take_named() == {}


def test_two_windows_of_one_step_are_one_window_of_more_utterances(tmp_path):
    loops = [loop_of(tmp_path / name) for name in "ab"]
    loops[0].step([(sub_batches((0, 1), (5,), w_b=2.0), True), (sub_batches((2,), (6, 7), w_b=2.0), True)])
    loops[1].step([(sub_batches((0, 1, 2), (5, 6, 7), w_b=2.0), True)])
    torch.testing.assert_close(weights(loops[0]), weights(loops[1]))


def test_sub_batches_that_do_not_count_change_nothing(tmp_path):
    loops = [loop_of(tmp_path / name) for name in "ab"]
    loops[0].step([(sub_batches((0, 1), (5,)), True), (sub_batches((2,), (6, 7)), False)])
    loops[1].step([(sub_batches((0, 1), (5,)), True)])
    torch.testing.assert_close(weights(loops[0]), weights(loops[1]))


def test_a_sub_batch_that_fails_is_left_out_and_the_other_counts(tmp_path):
    failing = loop_of(tmp_path / "a", Fit(Points(), {0: "oom"}))
    failing.step([(sub_batches((3, 4), (0, 1)), True)])
    alone = loop_of(tmp_path / "b")
    alone.step([(batch(3, 4), True)])
    torch.testing.assert_close(weights(failing), weights(alone))
    failing.read_totals()
    assert set(failing.progress.take_named()) == {"loss/a"} and failing.progress.out_of_memory == 1


def training(folder, callbacks=(), **train):
    """A loop over sub-batches of 3 and 4 of two sets of 10 and 27 points."""
    loop = loop_of(folder, callbacks=callbacks, total_steps=12, log_step=4, save_step=5, **train)
    indices = {"a": torch.arange(10).numpy(), "b": torch.arange(10, 37).numpy()}
    samplers = {
        name: RandomBatchSampler(Lengths([1.0] * len(own)), size, None)
        for (name, own), size in zip(indices.items(), (3, 4))
    }
    sampler, data = SetsBatchSampler(samplers, indices, {"a": 1.0, "b": 0.5}), loop.task.data

    def stream(epoch, position, make_dataloader):
        settings = LoaderSettings(make_dataloader=make_dataloader)
        place = {"seed": 0, "epoch": epoch, "position": position}
        return train_stream(data, sampler, lambda i: {"index": torch.tensor(i)}, **place, settings=settings)

    loop.make_stream = stream
    return loop


def test_an_interrupted_training_goes_on_at_the_same_sub_batches_and_logs_the_same(tmp_path):
    whole = training(tmp_path / "whole", gradient_accumulate=2)
    whole.fit()
    folder = tmp_path / "cut"
    cut = training(folder, [StoppedAt(6)], gradient_accumulate=2)
    with pytest.raises(Interrupted, match="saved at step 6"):
        cut.fit()
    rest = resumed(training(folder, [StoppedAt()], gradient_accumulate=2), folder)
    rest.task.load_state_dict(cut.task.state_dict())
    rest.fit()
    assert torch.equal(weights(rest), weights(whole))
    histories = [
        [{k: v for k, v in row.items() if k not in TIMES} for row in read_history(f) if row["split"] == "train"]
        for f in (folder, tmp_path / "whole")
    ]
    assert histories[0] == histories[1] and [row["step"] for row in histories[0]] == [4, 8, 12]
    assert all(row["loss/a"] > 0 and row["loss/b"] > 0 for row in histories[0])
