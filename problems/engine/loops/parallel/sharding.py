"""Training of a model of which each process holds a part: PyTorch's FSDP2 (``fully_shard``).

Weights, gradients and the optimizer's state are divided among the processes. The layers of every list of modules are
put together one at a time, when they compute, and the rest of the model for the whole of a step (Zhao et al., "PyTorch
FSDP", VLDB 2023). Gradients are summed, not averaged, as in :mod:`.reduction`; with several batches to a step, only the
last one communicates them. Weights are divided and summed as they are, in float32; autocast lowers the precision of
what is computed, as without sharding.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from dataset.protocols import offers
from problems.engine.loops.parallel.reduction import FSDP, SumAfterwards, overridden
from problems.engine.runtime import distributed
from problems.engine.runtime.errors import ConfigError
from problems.engine.runtime.sharded import gathered, is_sharded
from tasks.base import Task
from tasks.contracts import TrainableModel

if TYPE_CHECKING:
    from torch.distributed.fsdp import FSDPModule

    from problems.engine.loops.train import TrainLoop


class Sharding(SumAfterwards):
    """Divides a task among the processes; its reduction sums gradients in the backward pass, each process its part.

    Args:
        task: with the weights to start from, which are those of the main process.
        device: where it is.
    """

    def __init__(self, task: Task, device: torch.device):
        super().__init__([])
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh(device.type, (distributed.world().size,))
        self.task = task
        self.layers: list[FSDPModule] = [fully_shard(layer, mesh=mesh) for layer in _layers(task)]
        self.modules: list[FSDPModule] = [*self.layers, fully_shard(task, mesh=mesh)]
        for module in self.modules:
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)  # gloo has no other
        self.held: dict[str, Tensor] = {}
        for part, name in ((task, ""), (task.model, "model.")):
            part.register_state_dict_post_hook(_whole_weights(self, name))

    def begin_batch(self, is_last: bool) -> None:
        """Begin a batch; only the last one communicates its gradients."""
        self.task.set_requires_gradient_sync(is_last)

    def finish(self) -> None:
        """Nothing is left to do: the backward pass has summed the gradients."""

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Put the model together on every process for a ``with`` block: processes that evaluate do not keep step."""
        for module in self.modules:
            module.unshard()
        for layer in self.layers:
            layer.set_reshard_after_forward(False)
        try:
            yield
        finally:
            for layer in self.layers:
                layer.set_reshard_after_forward(True)
            for module in self.modules:
                module.reshard()

    @contextlib.contextmanager
    def weights_held(self, keeps: bool) -> Iterator[None]:
        """Let ``state_dict`` return whole weights inside the ``with`` block; every process must enter it.

        Args:
            keeps: False for a process that does not write them.
        """
        self.held = gathered(dict(self.task.state_dict()), keeps)
        try:
            yield
        finally:
            self.held = {}


def _whole_weights(sharding: Sharding, name: str) -> Any:
    """A hook that puts the weights which are held in the place of this process's parts of them."""

    def hook(module: nn.Module, state: dict[str, Any], prefix: str, local_metadata: Any) -> None:
        for key, value in state.items():
            if sharding.held and key.startswith(prefix) and is_sharded(value):
                state[key] = sharding.held[name + key.removeprefix(prefix)]

    return hook


def _layers(task: Task) -> list[nn.Module]:
    """The modules in lists of modules, such as the layers of a transformer; of lists within lists, the outer ones."""
    layers: list[nn.Module] = []
    inside: set[int] = set()
    for module in task.modules():
        if isinstance(module, nn.ModuleList) and id(module) not in inside:
            layers += [child for child in module if any(True for _ in child.parameters())]
            inside.update(id(inner) for inner in module.modules())
    return layers


def sharding_of(loop: TrainLoop) -> Sharding | None:
    """Divide the task of a training if ``train.parallel`` is ``fsdp`` and there are several processes.

    Raises:
        ConfigError: this training cannot be divided.
    """
    if loop.train["parallel"] != FSDP or loop.world.size == 1:
        return None
    reason = _reason_against(loop)
    if reason is not None:
        raise ConfigError(f"train.parallel fsdp: cannot be used here, as {reason}; use auto, or sum")
    distributed.broadcast_tensors([*loop.task.parameters(), *loop.task.buffers()])
    return Sharding(loop.task, loop.device)


def _reason_against(loop: TrainLoop) -> str | None:
    model = loop.task.model
    settings = {
        "train.skip_errors leaves out batches of one process": loop.train["skip_errors"],
        "train.precision fp16 scales losses; take bf16": loop.train["precision"] == "fp16",
        "train.compile is on": loop.train["compile"],
        "train.sync_batchnorm is on": loop.train["sync_batchnorm"],
        "build_model.finetune.layer_drop skips other layers on each process": getattr(
            getattr(model, "finetune", None), "layer_drop", 0
        ),
        "parameters are released during the training": offers(model, TrainableModel)
        and any(not p.requires_grad for p in model.trained),
    }
    return overridden(loop) or next((reason for reason, applies in settings.items() if applies), None)
