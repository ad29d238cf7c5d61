"""Build the model and the task of a training, with the initial weights that its seed decides."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import torch

from dataset import seeding
from problems.engine.loops import lockstep
from problems.engine.runtime import distributed
from problems.engine.runtime.errors import ConfigError
from problems.engine.runtime.overrides import call
from tasks.base import Task

if TYPE_CHECKING:
    from dataset.encoders import LabelEncoder

log = logging.getLogger(__name__)

Section = Mapping[str, Any]


class BuildsTask(Protocol):
    """The methods of a problem that build what is trained."""

    def build_model(self, **sections: Any) -> torch.nn.Module: ...

    def build_task(self, build_task: Section, model: torch.nn.Module, encoder: LabelEncoder) -> Task: ...


def build_task(
    problem: BuildsTask, train: Section, device: torch.device, *, model_args: Section, task_args: Section
) -> Task:
    """Return the task, with its model, on the device.

    Args:
        train: the config's section.
        model_args: the arguments of ``build_model``.
        task_args: the arguments of ``build_task`` but the model.
    """
    world = distributed.world()
    seeding.seed_all(train["seed"])
    model = call(problem, "build_model", **model_args)
    task = call(problem, "build_task", model=model, **task_args).to(device)
    if train["sync_batchnorm"]:
        _require_sync_batchnorm(train, device)
        if world.size > 1:
            task.model = torch.nn.SyncBatchNorm.convert_sync_batchnorm(task.model)
    lockstep.share_upstream(task.model)
    if train["compile"]:
        task.model.compile(backend=train["compile"], dynamic=True)
    if world.rank:  # the same weights on every process, but another dropout
        seeding.seed_all(seeding.derive(train["seed"], world.rank))
    trained, frozen = count_parameters(task)
    log.debug("model: %s parameters trained, %s frozen, on %s", f"{trained:,}", f"{frozen:,}", device)
    return task


def count_parameters(model: torch.nn.Module) -> tuple[int, int]:
    """Return how many parameters are trained, and how many are frozen."""
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return sum(n for n, trained in sizes if trained), sum(n for n, trained in sizes if not trained)


def _require_sync_batchnorm(train: Section, device: torch.device) -> None:
    if device.type != "cuda":
        raise ConfigError(f"train.sync_batchnorm: needs GPUs, but the device is {device.type}")
    if train["skip_errors"]:
        raise ConfigError(
            "train.sync_batchnorm: cannot be combined with skip_errors, as all processes share each batch"
        )
