"""Tensors of which each process holds a part: put together for a checkpoint, and divided again."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def is_sharded(tensor: Tensor) -> bool:
    """Return True if this process holds only a part of the tensor."""
    return hasattr(tensor, "full_tensor")


def whole(tensor: Tensor) -> Tensor:
    """The tensor with the parts of all processes; every process must call it."""
    return tensor.full_tensor() if is_sharded(tensor) else tensor


def gathered(value: Any, keeps: bool) -> Any:
    """A copy of dicts and lists with whole tensors on the CPU; every process must call it.

    One tensor after another is put together, so that no more than one takes memory on a GPU.

    Args:
        keeps: False for a process that only takes part: its tensors are None.
    """
    if isinstance(value, Tensor):
        if is_sharded(value):
            value = value.detach().full_tensor()
        return value.detach().to("cpu", copy=True) if keeps else None
    if isinstance(value, dict):
        return {key: gathered(inner, keeps) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(gathered(inner, keeps) for inner in value)
    return value


def divided_as(tensor: Tensor, parameter: Tensor) -> Tensor:
    """This process's part of a whole ``tensor``, if ``parameter`` is divided; all of it otherwise."""
    if not is_sharded(parameter) or is_sharded(tensor) or tensor.shape != parameter.shape:
        return tensor
    from torch.distributed.tensor import distribute_tensor

    on_device = tensor.to(parameter.device)
    return distribute_tensor(on_device, parameter.device_mesh, parameter.placements, src_data_rank=None)


def divide_state(optimizer: torch.optim.Optimizer) -> None:
    """Divide the state of an optimizer that has loaded a whole one."""
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor):
                state[name] = divided_as(value, parameter)
