"""From gradients to weights: clipping, several optimizers, precision; against loops written by hand."""

from __future__ import annotations

import math

import pytest
import torch

from problems.engine.optim.scheduled_optimizer import OptimScheduler
from tasks.base import StepOutput, Task
from tests.parts.least_squares import Fit, Points, loop_of, weights


class TwoLosses(Task):
    """Two weights, each with a loss of its own that the other has a part in."""

    def __init__(self):
        super().__init__(torch.nn.ParameterDict({"a": torch.ones(4), "b": torch.ones(4)}))
        self.calls = 0

    def forward(self, mode, index):
        self.calls += 1
        a, b, x = self.model["a"], self.model["b"], self.data.x[index]
        first, second = (x @ a - self.data.y[index]).square().mean(), ((x @ b) * a.sum()).mean()
        return StepOutput(first + 3 * b.sum(), float(len(index)), {}, {"second": second})


def two(task, **second):
    a, b = ([task.model[name]] for name in "ab")
    return [
        OptimScheduler(torch.optim.SGD(a, lr=0.01), name="a"),
        OptimScheduler(torch.optim.SGD(b, lr=0.02), name="b", **second),
    ]


def values(task):
    return torch.cat([task.model[name].detach().clone() for name in "ab"])


def by_hand(steps, every=1, clip=None):
    """The steps of :func:`two` in plain torch: the gradients of b summed over ``every`` windows."""
    task = TwoLosses()
    task.data = Points(16)
    a, b = task.model["a"], task.model["b"]
    waiting = []
    for step in range(1, steps + 1):
        output = task("train", torch.arange(8) + 8 * ((step - 1) % 2))
        (grad_a,) = torch.autograd.grad(output.loss, [a], retain_graph=True)
        waiting.append(torch.autograd.grad(output.losses["second"], [b])[0])
        with torch.no_grad():
            a -= 0.01 * grad_a
            if step % every == 0:
                mean = torch.stack(waiting).mean(dim=0)
                scale = 1.0 if clip is None else min(1.0, clip / (float(mean.norm()) + 1e-6))
                b -= 0.02 * scale * mean
                waiting = []
    return values(task)


@pytest.mark.parametrize(("every", "clip"), [(1, None), (1, 0.1), (2, None), (3, 0.1)])
def test_each_optimizer_follows_its_loss_in_its_time_and_clips_its_own(tmp_path, every, clip):
    task = TwoLosses()
    loop = loop_of(
        tmp_path, task, shuffle=False, count=16, total_steps=6,
        optimizers=lambda t: two(t, loss="second", step_per_update=every, max_norm=clip),
    )  # fmt: skip
    loop.fit()
    torch.testing.assert_close(values(task), by_hand(6, every, clip), rtol=1e-5, atol=1e-6)
    assert task.calls == 6  # one forward pass a window, whatever the number of losses


def test_gradients_that_wait_for_an_update_are_in_the_checkpoint(tmp_path):
    def made(folder, steps):
        task = TwoLosses()
        return loop_of(
            tmp_path / folder, task, shuffle=False, count=16, total_steps=steps, save_step=1,
            optimizers=lambda t: two(t, loss="second", step_per_update=3),
        )  # fmt: skip

    whole = made("whole", 6)
    whole.fit()
    first = made("cut", 4)
    first.fit()
    state = torch.load(tmp_path / "cut" / "step_00000004" / "training.pt", weights_only=True)
    assert state["optimizers"][1]["held"]
    second = made("cut", 6)
    second.task.load_state_dict(first.task.state_dict())
    second.load_state_dict(state)
    second.fit()
    assert torch.equal(values(second.task), values(whole.task))


def test_an_optimizer_may_be_kept_from_acting(tmp_path):
    from problems.engine.loops.train import TrainLoop

    class Later(TrainLoop):
        def freeze_optimizers(self, optimizers):
            return [o for o in optimizers if o.name != "b" or self.progress.step >= 2]

    task = TwoLosses()
    loop = loop_of(tmp_path, task, count=16, total_steps=2, kind=Later, optimizers=two)
    loop.fit()
    assert torch.equal(task.model["b"], torch.ones(4)) and not torch.equal(task.model["a"], torch.ones(4))


def test_the_largest_absolute_value_as_norm():
    p = torch.nn.Parameter(torch.zeros(3))
    p.grad = torch.tensor([3.0, -4.0, 1.0])
    one = OptimScheduler(torch.optim.SGD([p], lr=1.0), max_norm=2.0, norm_type=math.inf)
    assert float(one.norm()) == 4.0
    one.update(1.0, one.norm(), torch.tensor(True))
    torch.testing.assert_close(p.detach(), -torch.tensor([1.5, -2.0, 0.5]), rtol=1e-5, atol=0)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_learns_what_fp32_learns_and_resumes(tmp_path, precision):
    class Product(Fit):
        def forward(self, mode, index):
            assert torch.is_autocast_enabled("cpu")
            predicted = self.model(self.data.x[index])[:, 0]
            assert predicted.dtype == {"bf16": torch.bfloat16, "fp16": torch.float16}[precision]
            return StepOutput((predicted.float() - self.data.y[index]).square().mean(), float(len(index)), {})

    def made(folder, steps):
        task = Product(Points())
        return loop_of(tmp_path / folder, task, total_steps=steps, save_step=5, precision=precision)

    plain, whole, first = loop_of(tmp_path / "plain", total_steps=100), made("whole", 100), made("cut", 10)
    plain.fit(), whole.fit(), first.fit()
    torch.testing.assert_close(weights(whole), weights(plain), rtol=0.05, atol=0.02)
    second = made("cut", 100)
    second.task.load_state_dict(first.task.state_dict())
    second.load_state_dict(torch.load(tmp_path / "cut" / "step_00000010" / "training.pt", weights_only=True))
    if precision == "fp16":
        assert second.scaler.get_scale() == first.scaler.get_scale()
    second.fit()
    assert torch.equal(weights(second), weights(whole))


def test_fp16_finds_its_scale_without_using_up_the_patience(tmp_path):
    class Steep(Fit):
        def forward(self, mode, index):
            output = super().forward(mode, index)
            return StepOutput(output.loss * 100, output.weight)

    task = Steep(Points())
    loop = loop_of(
        tmp_path, task, optimizer=torch.optim.SGD(task.parameters(), lr=5e-4), total_steps=30, precision="fp16",
        nonfinite_patience=1, log_step=1,
    )  # fmt: skip
    loop.fit()
    assert loop.progress.nonfinite > 2 and loop.scaler.get_scale() < 16384
    assert float(loop.task("valid", torch.arange(37)).loss) < 0.2 * 100 * float(Points().y.square().mean())
