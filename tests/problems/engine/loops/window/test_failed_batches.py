"""Batches that fail: left out when asked to be, named, counted, and fatal when there are too many."""

from __future__ import annotations

import pytest
import torch

from dataset.loader import Unreadable
from problems.engine.checkpoints.store import steps_in
from problems.engine.loops.base import Callback
from problems.engine.loops.state.progress import Progress
from problems.engine.loops.window.failed_batches import classify_failure, count_failures
from problems.engine.runtime.errors import ConfigError, Interrupted, TrainingError
from tests.parts.least_squares import Fit, Points, loop_of, weights
from tests.parts.processes import finish_ranks, launch_ranks, options_of


class Broken(Fit):
    """Fails on the batch with utterance 3, forward or in its backward pass."""

    def __init__(self, data, backward=False):
        super().__init__(data)
        self.backward_too = backward

    def forward(self, mode, index):
        if 3 in index.tolist() and not self.backward_too:
            raise ZeroDivisionError("nothing to divide by")
        output = super().forward(mode, index)
        if 3 in index.tolist():
            output.loss.register_hook(lambda gradient: 1 / 0)
        return output


@pytest.mark.parametrize("backward", [False, True])
def test_an_error_in_a_batch_ends_the_training_unless_it_may_be_skipped(tmp_path, caplog, backward):
    with pytest.raises(ZeroDivisionError):
        loop_of(tmp_path / "a", Broken(Points(), backward), total_steps=5).fit()
    loop = loop_of(tmp_path / "b", Broken(Points(), backward), total_steps=10, skip_errors=True)
    loop.fit()
    assert loop.progress.step == 10 and loop.progress.errors == 2
    assert "ZeroDivisionError" in caplog.text and "(2 so far)" in caplog.text


def test_the_others_of_a_window_count_as_if_it_had_not_been(tmp_path):
    spoiled = loop_of(
        tmp_path / "a",
        Broken(Points(16)),
        shuffle=False,
        gradient_accumulate=2,
        count=16,
        total_steps=1,
        skip_errors=True,
    )
    spoiled.fit()
    alone = loop_of(tmp_path / "b", Fit(Points(16)), shuffle=False, count=16, total_steps=1)
    alone.step([({"index": torch.arange(8, 16)}, True)])
    torch.testing.assert_close(weights(spoiled), weights(alone))


def test_an_utterance_that_cannot_be_read_is_named(tmp_path, caplog):
    loop = loop_of(tmp_path, total_steps=5, shuffle=False, skip_errors=True)
    plain = Points.__getitem__
    try:
        Points.__getitem__ = lambda self, i: plain(self, i) if i != 9 else open("no such file.wav")
        loop.fit()
    finally:
        Points.__getitem__ = plain
    assert loop.progress.errors == 1
    assert "FileNotFoundError" in caplog.text and "utterances 8, 9, 10," in caplog.text


def test_too_many_in_a_row_end_the_training(tmp_path):
    class Always(Fit):
        def forward(self, mode, index):
            raise ZeroDivisionError("always")

    loop = loop_of(tmp_path, Always(Points()), skip_errors=True, nonfinite_patience=2)
    with pytest.raises(TrainingError, match="all batches failed in 3 steps in a row.*nonfinite_patience 2"):
        loop.fit()
    assert torch.equal(weights(loop), torch.zeros(1, 4))


@pytest.mark.parametrize("error", [Interrupted(15, "SIGTERM"), ConfigError("train.key: wrong")])
def test_a_signal_and_a_config_error_are_not_skipped(tmp_path, error):
    class Ending(Fit):
        def forward(self, mode, index):
            raise error

    loop = loop_of(tmp_path, Ending(Points()), skip_errors=True)
    with pytest.raises(type(error)):
        loop.fit()
    assert loop.progress.step == 0


def test_losses_of_all_processes_are_counted_together():
    progress = Progress()
    unreadable = classify_failure(Unreadable(OSError("gone"), ["u1", "u2"], ""), OSError("gone"), skip_errors=True)
    too_large = classify_failure({"id": ["u3"], "wav": torch.zeros(1, 9)}, MemoryError(), skip_errors=False)
    assert unreadable.text == "OSError: gone: utterances u1, u2"
    assert "(1, 9)" in too_large.text and "u3" in too_large.text
    count_failures(progress, [unreadable, too_large], is_step_lost=True, patience=2)
    assert (progress.errors, progress.out_of_memory, progress.lost_in_a_row) == (1, 1, 1)
    failures = [unreadable, too_large, too_large]
    count_failures(progress, failures, is_step_lost=False, patience=2)  # other batches of that step are left
    assert (progress.errors, progress.out_of_memory, progress.lost_in_a_row) == (2, 3, 0)


def test_what_fails_after_its_backward_pass_leaves_nothing_in_the_step(tmp_path):
    class Late(Callback):
        def on_fit_batch_end(self, loop, batch, output):
            if 0 in batch["index"].tolist():
                raise ZeroDivisionError("after the gradients were there")

    spoiled = loop_of(
        tmp_path / "a",
        shuffle=False,
        gradient_accumulate=2,
        count=16,
        total_steps=1,
        skip_errors=True,
        callbacks=[Late()],
    )
    spoiled.fit()
    alone = loop_of(tmp_path / "b", shuffle=False, count=16, total_steps=1)
    alone.step([({"index": torch.arange(8, 16)}, True)])
    torch.testing.assert_close(weights(spoiled), weights(alone))


FAILING = '''
import os
from problems.asr import ASR

class FailingASR(ASR):
    """Its second process cannot do its third batch."""

    def build_task(self, build_task, model, encoder):
        task = super().build_task(build_task, model, encoder)
        forward, seen = task.forward, []

        def failing(mode, **batch):
            seen.append(mode)
            if os.environ["RANK"] == "1" and mode == "train" and seen.count("train") == 3:
                raise RuntimeError("broken on purpose")
            return forward(mode, **batch)

        task.forward = failing
        return task

if __name__ == "__main__":
    FailingASR().main()
'''


def test_a_batch_that_fails_on_one_process_is_left_out_of_the_step_of_all(tiny, tmp_path):
    file = tmp_path / "failing_asr.py"
    file.write_text(FAILING)
    options = options_of(tiny, "--train.total_steps=8", "--train.eval_step=4", "--train.skip_errors=true", "--stop=2")
    out = finish_ranks(launch_ranks([tmp_path / "run"] * 2, options, program=(str(file),)))
    assert "a batch of step 3 is left out (1 so far): RuntimeError: broken on purpose" in out
    assert "utterances train-0" in out


def test_running_out_of_memory_on_one_batch_is_survived_and_said(tmp_path, caplog):
    loop = loop_of(tmp_path, Fit(Points(), {3: "oom"}), total_steps=5)
    loop.fit()
    assert loop.progress.step == 5 and loop.progress.out_of_memory == 1
    assert "out of memory" in caplog.text and "(1 so far)" in caplog.text


def test_memory_that_runs_out_again_and_again_ends_the_training(tmp_path):
    class Hungry(Fit):
        def forward(self, mode, index):
            raise torch.OutOfMemoryError("CUDA out of memory")

    loop = loop_of(tmp_path, Hungry(Points()), nonfinite_patience=2)
    with pytest.raises(TrainingError, match="memory ran out in 3 steps in a row"):
        loop.fit()
    assert not steps_in(tmp_path)


def test_units_that_are_lost_with_a_failed_batch_are_logged(tmp_path, caplog):
    """A batch that fails in its backward pass takes those before it along, since gradients are summed."""
    window = [({"index": torch.tensor(batch)}, True) for batch in ([0, 1], [3])]
    loop_of(tmp_path, Broken(Points(), backward=True), skip_errors=True).step(window)
    assert "(with the 2 units before it in this step)" in caplog.text
    caplog.clear()
    loop_of(tmp_path, Broken(Points(), backward=True), skip_errors=True).step(window[1:])
    assert "is left out" in caplog.text and "units before it" not in caplog.text


def test_a_single_process_may_leave_out_a_batch_though_batch_norm_is_synchronized(tmp_path):
    loop = loop_of(tmp_path, Broken(Points()), skip_errors=True, sync_batchnorm=True, total_steps=5)
    loop.fit()
    assert loop.progress.errors == 1
