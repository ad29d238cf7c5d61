"""Least squares by the train loop: a training of milliseconds, for tests of the loop."""

from __future__ import annotations

import math
import signal

import torch

from dataset.loader import LoaderSettings, train_stream
from problems.engine.checkpoints.store import steps_in
from problems.engine.config.sections import Train
from problems.engine.loops.base import Callback
from problems.engine.loops.train import TrainLoop
from problems.engine.optim.scheduled_optimizer import OptimScheduler
from tasks.base import StepOutput, Task
from tests.parts.samplers import FixedBatchSampler

DEFAULTS = vars(Train()) | {
    "total_steps": 6,
    "log_step": 2,
    "eval_step": 3,
    "save_step": 3,
    "gradient_clipping": None,
    "keep_num_ckpts": None,
    "nonfinite_patience": 2,
}


class Points(torch.utils.data.Dataset):
    """y = x . w, some of them twice as heavy."""

    def __init__(self, count=37):
        generator = torch.Generator().manual_seed(3)
        self.x = torch.randn(count, 4, generator=generator)
        self.y = self.x @ torch.tensor([1.0, -2.0, 0.5, 3.0])

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return index


class Fit(Task):
    """Least squares; ``spoil`` maps an utterance's index to what goes wrong with its batch."""

    def __init__(self, data, spoil=None):
        super().__init__(torch.nn.Linear(4, 1, bias=False))
        torch.nn.init.zeros_(self.model.weight)
        self.data, self.spoil, self.seen = data, spoil or {}, []

    def forward(self, mode, index):
        self.seen.append(index.tolist())
        for i in index.tolist():
            if self.spoil.get(i) == "oom":
                self.spoil.pop(i)
                raise RuntimeError(
                    "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
                )
        error = self.model(self.data.x[index])[:, 0] - self.data.y[index]
        loss = error.square().mean()
        if any(self.spoil.get(i) == "nan" for i in index.tolist()):
            loss = loss * math.nan
        return StepOutput(loss, float(len(index)), {"id": index.tolist()})


def loop_of(
    tmp_path,
    task=None,
    batch=8,
    shuffle=True,
    optimizer=None,
    validate=None,
    count=37,
    kind=TrainLoop,
    callbacks=(),
    optimizers=None,
    **train,
):
    data = Points(count)
    task = task or Fit(data)
    task.data = data
    sampler = FixedBatchSampler(count, batch, shuffle=shuffle, seed=1)

    settings = DEFAULTS | train

    def stream(epoch, position, make_dataloader):
        loading = LoaderSettings(keep_errors=settings["skip_errors"], make_dataloader=make_dataloader)
        return train_stream(
            data,
            sampler,
            lambda i: {"index": torch.tensor(i)},
            seed=0,
            epoch=epoch,
            position=position,
            settings=loading,
        )

    def build(task):
        sgd = optimizer or torch.optim.SGD(task.parameters(), lr=0.05)
        return [OptimScheduler(sgd, max_norm=settings["gradient_clipping"])]

    validate = validate or (lambda: {"loss": 1.0})
    return kind(
        task,
        optimizers or build,
        settings,
        tmp_path,
        stream,
        validate,
        lambda folder: None,
        torch.device("cpu"),
        callbacks,
    )


def weights(loop):
    return loop.task.model.weight.detach().clone()


class StoppedAt(Callback):
    """Asks the loop to stop, as a signal does, after some steps."""

    def __init__(self, *steps):
        self.steps = steps

    def on_fit_batch_end(self, loop, batch, output):
        if loop.progress.step + 1 in self.steps:
            loop.stop.signal = signal.SIGTERM


def resumed(loop, folder):
    loop.load_state_dict(torch.load(steps_in(folder)[-1] / "training.pt", weights_only=True))
    return loop
