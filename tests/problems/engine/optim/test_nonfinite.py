"""Steps with non-finite gradients: skipped, counted, and the end of the training when there are too many."""

from __future__ import annotations

import math

import pytest
import torch

from problems.engine.optim.nonfinite import SkippedSteps
from problems.engine.runtime.errors import TrainingError
from tests.parts.least_squares import Fit, Points, loop_of, weights


def test_skipped_steps_are_counted_in_all_and_in_a_row():
    skipped = SkippedSteps(torch.device("cpu"))
    for is_finite in (True, False, False, True, False):
        skipped.add(torch.tensor(is_finite))
    assert skipped.read() == (3, 1, 2)
    skipped.restore(total=7, in_a_row=2)
    skipped.add(torch.tensor(False))
    assert skipped.read() == (8, 3, 3)


@pytest.mark.parametrize("fused", [False, True])
def test_a_non_finite_step_is_skipped_on_the_device_too(tmp_path, fused):
    """Fused optimizers skip on the device, so that nobody waits for it; here on a CPU, with the same code."""
    task = Fit(Points(), {3: "nan"})
    optimizer = torch.optim.Adam(task.parameters(), lr=0.05, fused=fused)
    loop = loop_of(tmp_path, task, optimizer=optimizer, total_steps=10, log_step=10)
    loop.fit()
    assert torch.isfinite(weights(loop)).all() and not torch.equal(weights(loop), torch.zeros(1, 4))
    assert loop.progress.nonfinite == 2
    assert int(optimizer.state[task.model.weight]["step"]) == 8


def test_patience_holds_for_an_optimizer_that_skips_itself(tmp_path):
    task = Fit(Points(), {i: "nan" for i in range(37)})
    optimizer = torch.optim.Adam(task.parameters(), fused=True)
    loop = loop_of(tmp_path, task, optimizer=optimizer, total_steps=40, log_step=4, nonfinite_patience=2)
    with pytest.raises(TrainingError, match="step 3 .*3 steps in a row.*nonfinite_patience 2"):
        loop.fit()
    assert torch.equal(weights(loop), torch.zeros(1, 4))


def test_a_non_finite_loss_with_finite_gradients_never_reaches_the_weights(tmp_path):
    class Infinite(Fit):
        def forward(self, mode, index):
            output = super().forward(mode, index)
            output.loss = output.loss + torch.tensor(math.inf)  # its gradient is as before
            return output

    loop = loop_of(tmp_path, Infinite(Points()), total_steps=2, nonfinite_patience=5)
    loop.fit()
    assert torch.equal(weights(loop), torch.zeros(1, 4)) and loop.progress.nonfinite == 2
