"""Build the optimizers that a config names, each with its schedule."""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Mapping
from typing import Any, Protocol

from torch import nn
from torch.optim import Optimizer

from problems.engine.optim import lr_schedules, optimizers
from problems.engine.optim.named_parameters import NamedParameters
from problems.engine.optim.scheduled_optimizer import OptimScheduler
from problems.engine.runtime.errors import ConfigError
from problems.engine.runtime.overrides import call, is_overridden

log = logging.getLogger(__name__)

Section = Mapping[str, Any]


class BuildsOptimizers(Protocol):
    """The methods of a problem that build optimizers and schedules."""

    def build_optimizer(self, build_optimizer: Section, parameters: NamedParameters) -> Optimizer: ...

    def build_scheduler(self, build_scheduler: Section, optimizer: Optimizer) -> Any: ...


def build_optimizers(
    problem: BuildsOptimizers,
    task: nn.Module,
    *,
    build_optimizer: Section,
    build_scheduler: Section,
    train: Section,
    steps_per_epoch: int,
) -> list[OptimScheduler]:
    """Build the optimizers over the parameters of ``task``.

    Args:
        build_optimizer, build_scheduler, train: the config's sections; ``total_steps`` is filled in, and may change.
        steps_per_epoch: optimizer steps in a pass over the training set.

    Raises:
        ConfigError: two would move the same parameter, or a schedule needs validations and there are none.
    """
    parameters, owners, schedulers = NamedParameters.of_task(task), {}, []
    for name, section in optimizers.single(build_optimizer):
        key = f"build_optimizer.optimizers.{name}" if name else "build_optimizer"
        modules = section["updated_modules"]
        chosen = parameters if modules is None else parameters.of(modules, f"{key}.updated_modules")
        for parameter, p in zip(chosen.names, chosen):
            if owners.setdefault(p, name) != name:
                raise ConfigError(f"{key}: {parameter} is moved by {owners[p]!r} already; give updated_modules")
        optimizer = call(problem, "build_optimizer", build_optimizer=section, parameters=chosen)
        schedule, build_schedule = section["scheduler"] or build_scheduler, None
        if train["use_scheduler"] or section["scheduler"]:
            build_schedule = functools.partial(_build_schedule, problem, schedule, train, steps_per_epoch, optimizer)
        schedulers.append(
            OptimScheduler(
                optimizer,
                build_schedule=build_schedule,
                every=lr_schedules.every(schedule),
                name=name,
                loss=section["optim_loss"] or optimizers.MAIN,
                step_per_update=section["step_per_update"],
                max_norm=section.get("gradient_clipping", train["gradient_clipping"]),
                norm_type=float(section.get("gradient_norm_type", train["gradient_norm_type"])),
            )
        )
    unmoved = sum(p.numel() for p in parameters if p not in owners)
    if unmoved:
        log.warning("no optimizer moves %s of the parameters that could be trained", f"{unmoved:,}")
    return schedulers


def _build_schedule(
    problem: BuildsOptimizers, schedule: Section, train: Section, steps_per_epoch: int, optimizer: Optimizer
) -> Any:
    """Build a schedule, with what the training knows filled into its section unless the user builds it."""
    lr_schedules.check_validation(schedule, train["valid_metric"])
    if not is_overridden(problem, "build_scheduler"):
        epochs = train["epochs"] or math.ceil(train["total_steps"] / steps_per_epoch)
        schedule = lr_schedules.planned(schedule, train["total_steps"], epochs, train["valid_higher_better"])
    return call(problem, "build_scheduler", build_scheduler=schedule, optimizer=optimizer)
