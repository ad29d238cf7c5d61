"""The average of the weights: its formula, and its part in validations, checkpoints and resumes."""

from __future__ import annotations

import pytest
import torch

from problems.engine.optim.ema import EMA
from tests.parts.least_squares import Fit, Points, loop_of, weights


def test_the_average_of_weights_follows_its_formula():
    p = torch.nn.Parameter(torch.zeros(1))
    ema, expected = EMA([p], decay=0.5), None
    for n, value in enumerate([4.0, 8.0, -2.0, 1.0, 1.0, 3.0, 0.0]):
        p.data.fill_(value)
        ema.update()
        decay = min(0.5, (1 + n) / (10 + n))
        expected = value if expected is None else decay * expected + (1 - decay) * value
    with ema.in_place():
        assert p.item() == pytest.approx(expected)
    assert p.item() == 0.0


def test_averaged_weights_are_validated_and_saved_and_training_goes_on_from_the_others(tmp_path):
    def made(folder, steps):
        task = Fit(Points())
        loop = loop_of(tmp_path / folder, task, total_steps=steps, eval_step=2, save_step=4, ema=0.9)
        seen = []
        loop.validate = lambda: seen.append(weights(loop)) or {"loss": 1.0}
        loop.save = lambda f: torch.save(loop.task.state_dict(), f / "weights.pt")
        return loop, seen

    whole, seen = made("whole", 8)
    whole.fit()
    assert not torch.equal(seen[-1], weights(whole))  # what is validated is the average
    first, _ = made("cut", 4)
    first.fit()
    folder = tmp_path / "cut" / "step_00000004"
    second, seen_after = made("cut", 8)
    second.task.load_state_dict(torch.load(folder / "weights.pt", weights_only=True))
    second.load_state_dict(torch.load(folder / "training.pt", weights_only=True))
    second.fit()
    assert torch.equal(weights(second), weights(whole)) and torch.equal(seen_after[-1], seen[-1])
