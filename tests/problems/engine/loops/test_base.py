"""The places to hook in: their order, what they are given, and what a callback keeps."""

from __future__ import annotations

import pytest
import torch

from problems.engine.loops.base import Callback
from problems.engine.loops.train import TrainLoop
from problems.engine.optim.scheduled_optimizer import OptimScheduler
from tasks.base import Mode
from tests.parts.least_squares import Fit, Points, loop_of, weights


class Diary(Callback):
    """Notes every call."""

    def __init__(self):
        self.lines = []

    def on_fit_start(self, loop):
        self.lines.append("fit")

    def on_stage_start(self, loop, stage):
        self.lines.append(f"{stage} starts")

    def on_stage_end(self, loop, stage, metrics):
        self.lines.append(f"{stage} ends with {', '.join(metrics)}")

    def on_fit_batch_start(self, loop, batch):
        self.lines.append("batch")

    def on_fit_batch_end(self, loop, batch, output):
        assert all(p.grad is not None for p in loop.parameters)
        self.lines.append(f"of {output.weight:.0f}")


class Own(TrainLoop):
    """Notes into the first callback, before it does."""

    def on_stage_start(self, stage):
        self.callbacks[0].lines.append(f"own {stage}")


def test_the_order_of_hooks(tmp_path):
    diary = Diary()
    loop_of(tmp_path, total_steps=3, batch=32, eval_step=2, kind=Own, callbacks=[diary]).fit()
    epoch = ["own train", "train starts", "batch", "of 32", "batch", "of 5", "train ends with loss"]
    valid = ["own valid", "valid starts", "valid ends with loss"]
    begun = [*epoch[:4], "train ends with loss"]  # the third step begins an epoch that is not ended
    assert diary.lines == ["fit", *epoch, *valid, *begun, *valid]


def test_an_epoch_ends_with_the_mean_over_its_units(tmp_path):
    means = []

    class Means(Callback):
        def on_stage_end(self, loop, stage, metrics):
            means.extend([metrics["loss"]] if stage is Mode.TRAIN else [])

    task = Fit(Points())
    still = torch.optim.SGD(task.parameters(), lr=0.0)
    loop_of(tmp_path, task, optimizer=still, total_steps=10, log_step=3, callbacks=[Means()]).fit()
    assert means == pytest.approx(2 * [float(Points().y.square().mean())], rel=1e-6)


def test_the_mean_of_an_epoch_is_of_that_epoch_alone(tmp_path):
    means, losses = [], []

    class Means(Callback):
        def on_fit_batch_end(self, loop, batch, output):
            losses.append((output.loss.item(), float(output.weight)))

        def on_stage_end(self, loop, stage, metrics):
            if stage is Mode.TRAIN:
                means.append((metrics["loss"], losses[:]))
                losses.clear()

    loop_of(tmp_path, total_steps=10, callbacks=[Means()]).fit()
    assert len(means) == 2 and means[0][0] != pytest.approx(means[1][0])
    for mean, batches in means:
        assert mean == pytest.approx(sum(loss * n for loss, n in batches) / sum(n for _, n in batches))


def test_what_a_callback_keeps_comes_back(tmp_path):
    class Counter(Callback):
        seen = 0

        def on_fit_batch_end(self, loop, batch, output):
            self.seen += 1

        def state_dict(self):
            return {"seen": self.seen}

        def load_state_dict(self, state):
            self.seen = state["seen"]

    loop_of(tmp_path, total_steps=4, save_step=4, callbacks=[Counter(), Diary()]).fit()
    state = torch.load(tmp_path / "step_00000004" / "training.pt", weights_only=True)
    counter = Counter()
    loop = loop_of(tmp_path, total_steps=6, callbacks=[counter, Diary()])
    loop.load_state_dict(state)
    loop.fit()
    assert counter.seen == 6


def test_methods_of_a_loop_may_be_replaced(tmp_path):
    """A step of one's own, another optimizer, another loader, losses refused at will."""
    loaders, refused = [], []

    class Mine(TrainLoop):
        def init_optimizers(self):
            return [OptimScheduler(torch.optim.SGD(self.task.parameters(), lr=0.5))]

        def make_dataloader(self, dataset, **options):
            loaders.append(len(dataset))
            return super().make_dataloader(dataset, **options)

        def fit_batch(self, batch, units):
            output = self.forward(Mode.TRAIN, batch)
            output.loss = output.loss * 2
            self.backward(output, units(output))
            return output

        def check_loss_isfinite(self, loss):
            refused.append(self.progress.step == 1)
            return torch.isfinite(loss) & (self.progress.step != 1)

    loop = loop_of(tmp_path, total_steps=2, shuffle=False, kind=Mine, nonfinite_patience=5)
    loop.fit()
    data, task = Points(), Fit(Points())
    (2 * task("train", torch.arange(8)).loss).backward()
    torch.testing.assert_close(weights(loop), -0.5 * task.model.weight.grad)
    assert loaders == [len(data)] and refused == [False, True] and loop.progress.nonfinite == 1


def test_a_stage_is_its_name():
    assert Mode.TRAIN == "train" and f"{Mode.VALID}" == "valid" and Mode("test") is Mode.TEST
