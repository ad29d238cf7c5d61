"""A model with parts that only some batches use, in several buckets of the reducer, and its training on any ranks."""

from __future__ import annotations

import torch

from dataset.loader import LoaderSettings, train_stream
from problems.engine.checkpoints.weights import save_weights
from problems.engine.loops.train import TrainLoop
from problems.engine.optim.scheduled_optimizer import OptimScheduler
from problems.engine.runtime import distributed
from tasks.base import StepOutput, Task
from tests.parts.least_squares import DEFAULTS
from tests.parts.samplers import FixedBatchSampler

COUNT, SIZE = 37, 400


class FailsInBackward(torch.autograd.Function):
    """The identity, whose backward pass runs out of memory."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        raise RuntimeError("can't allocate memory: on purpose")


class Branches(torch.nn.Module):
    """A trunk, one of two branches, and a part that nothing uses.

    released: the step that trains the trunk. uses_all: use both branches, which stand in a list.
    """

    def __init__(self, released=0, uses_all=False):
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        self.trunk, self.first, self.second, self.unused = (torch.nn.Linear(SIZE, SIZE) for _ in range(4))
        for p in self.parameters():
            p.data = torch.randn(p.shape, generator=generator) / SIZE**0.5
        self.released, self.uses_all = released, uses_all
        if uses_all:
            self.layers = torch.nn.ModuleList([self.first, self.second])
            del self.first, self.second

    def set_step(self, step):
        self.trunk.requires_grad_(step >= self.released)

    def forward(self, x, takes_first):
        if self.uses_all:
            return sum(layer(torch.tanh(self.trunk(x))) for layer in self.layers)
        return (self.first if takes_first else self.second)(torch.tanh(self.trunk(x)))


class BranchTask(Task):
    """Least squares; ``spoil`` maps an utterance's index to what goes wrong with its batch, the first time."""

    def __init__(self, model, spoil=None):
        super().__init__(model)
        self.x = torch.randn(COUNT, SIZE, generator=torch.Generator().manual_seed(6))
        self.spoil = dict(spoil or {})

    def forward(self, mode, index):
        fault = next((self.spoil.pop(i) for i in index.tolist() if i in self.spoil), None)
        if fault == "forward":
            raise RuntimeError("can't allocate memory: on purpose")
        x = self.model(self.x[index], bool(index[0] % 2))
        if fault == "backward":  # where only a part of the gradients is done
            x = self.model.second(FailsInBackward.apply(torch.tanh(self.model.trunk(self.x[index]))))
        loss = (x - self.x[index].flip(1)).square().mean()
        return StepOutput(loss * float("nan") if fault == "nan" else loss, float(len(index)), {"id": index.tolist()})


def branch_loop(folder, *, spoil=None, released=0, uses_all=False, kind=TrainLoop, optimizers=None, **train):
    """A training of :class:`Branches` by the processes of this world, of batches of 4."""
    settings = DEFAULTS | {"total_steps": 50, "log_step": 1000, "eval_step": None, "save_step": None} | train
    sampler, world = FixedBatchSampler(COUNT, 4, shuffle=True, seed=1), distributed.world()

    def stream(epoch, position, make_dataloader):
        loading = LoaderSettings(keep_errors=settings["skip_errors"], make_dataloader=make_dataloader)
        place = {"epoch": epoch, "position": position, "rank": world.rank, "size": world.size}
        collate = lambda items: {"index": torch.tensor(items)}  # noqa: E731
        return train_stream(list(range(COUNT)), sampler, collate, seed=0, **place, settings=loading)

    def build(task):
        return [OptimScheduler(torch.optim.SGD(task.parameters(), lr=0.05, momentum=0.9), max_norm=1.0)]

    task = BranchTask(Branches(released, uses_all), spoil)
    save = lambda folder: save_weights(folder, task.model)  # noqa: E731
    return kind(task, optimizers or build, settings, folder, stream, None, save, torch.device("cpu"))


def weights(loop):
    """All weights of a training in one vector."""
    return torch.cat([p.detach().flatten() for p in loop.task.parameters()])
