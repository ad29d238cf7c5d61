"""Optimizers and schedules by name, checked against the signature of the class that they are for."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR

from problems.engine.errors import ConfigError, nearest


def warmup_linear(step: int, warmup: int = 100, total_steps: int = 0, final: float = 0.0) -> float:
    """s/w up to w = warmup, then a straight line from 1 to ``final``: 1 - (1 - final)(s - w)/(T - w)."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 1 - (1 - final) * min(1.0, (step - warmup) / max(1, total_steps - warmup))


def warmup_cosine(step: int, warmup: int = 100, total_steps: int = 0, final: float = 0.0) -> float:
    """s/w up to w = warmup, then half a cosine to ``final``: final + (1 - final)(1 + cos(pi (s - w)/(T - w)))/2."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    done = min(1.0, (step - warmup) / max(1, total_steps - warmup))
    return final + (1 - final) * (1 + math.cos(math.pi * done)) / 2


def warmup_constant(step: int, warmup: int = 100) -> float:
    """s/w up to w = warmup, then 1."""
    return min(1.0, (step + 1) / (warmup + 1))


SCHEDULES: dict[str, Callable[..., float]] = {
    "warmup_linear": warmup_linear,
    "warmup_cosine": warmup_cosine,
    "warmup_constant": warmup_constant,
}


def _class(module: Any, base: type, name: str, section: str, extra: Iterable[str] = ()) -> type:
    found = getattr(module, name, None)
    if not (isinstance(found, type) and issubclass(found, base) and found is not base):
        names = [n for n, c in vars(module).items() if isinstance(c, type) and issubclass(c, base)]
        known = [
            *extra,
            *(n for n in names if not n.startswith("_") and n not in (base.__name__, "LRScheduler")),
        ]
        raise ConfigError(
            f"{section}.name: there is no {name!r}{nearest(name, known)}; there are {', '.join(sorted(known))}"
        )
    return found


def _check_conf(made: Callable, conf: Mapping[str, Any], section: str, given: Iterable[str]) -> None:
    parameters = inspect.signature(made).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    known = [p for p in parameters if p not in set(given)]
    errors = [
        f"{section}.conf.{key}: {made.__name__} takes no such argument{nearest(key, known)};"
        f" it takes {', '.join(known)}"
        for key in conf
        if key not in known
    ]
    needed = [
        f"{section}.conf.{name}: {made.__name__} must be given it"
        for name in known
        if parameters[name].default is inspect.Parameter.empty and name not in conf and name != "total_steps"
    ]
    if errors or needed:
        raise ConfigError("the config is wrong:\n  " + "\n  ".join(errors + needed))


def check_optimizer(section: Mapping[str, Any]) -> type[torch.optim.Optimizer]:
    """The class that ``build_optimizer`` names; a ConfigError where it, or one of its settings, does not exist."""
    found = _class(torch.optim, torch.optim.Optimizer, section["name"], "build_optimizer")
    _check_conf(found, section["conf"], "build_optimizer", ("params",))
    return found


def check_scheduler(section: Mapping[str, Any]) -> Callable:
    """The schedule or class that ``build_scheduler`` names, checked like an optimizer."""
    if section["name"] in SCHEDULES:
        found: Callable = SCHEDULES[section["name"]]
        _check_conf(found, section["conf"], "build_scheduler", ("step",))
        return found
    schedulers = torch.optim.lr_scheduler
    if section["name"] == "ReduceLROnPlateau":
        raise ConfigError("build_scheduler.name: ReduceLROnPlateau goes by a metric; schedules here go by steps")
    found = _class(schedulers, schedulers.LRScheduler, section["name"], "build_scheduler", SCHEDULES)
    _check_conf(found, section["conf"], "build_scheduler", ("optimizer",))
    return found


def build_optimizer(section: Mapping[str, Any], parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizer over those ``parameters`` that train."""
    made = check_optimizer(section)
    trained = [p for p in parameters if p.requires_grad]
    if not trained:
        raise ConfigError("build_optimizer: no parameter of the model is trained; is everything frozen?")
    try:
        return made(trained, **section["conf"])
    except (TypeError, ValueError) as error:
        raise ConfigError(f"build_optimizer: {section['name']} refuses its settings: {error}") from error


def build_scheduler(section: Mapping[str, Any], optimizer: torch.optim.Optimizer) -> Any:
    """The schedule of ``optimizer``, stepped once an optimizer step."""
    made = check_scheduler(section)
    conf = dict(section["conf"])
    try:
        if section["name"] in SCHEDULES:
            return LambdaLR(optimizer, lambda step: made(step, **conf))
        return made(optimizer, **conf)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"build_scheduler: {section['name']} refuses its settings: {error}") from error


def load_schedule(scheduler: Any, state: Mapping[str, Any]) -> None:
    """Take up a schedule's place; what was planned over a total follows the total of this run, from this step on."""
    planned = {k: v for k in ("total_steps", "_schedule_phases") if (v := getattr(scheduler, k, None)) is not None}
    scheduler.load_state_dict(state)
    vars(scheduler).update(planned)
    if isinstance(scheduler, LambdaLR):
        for group, base, factor in zip(scheduler.optimizer.param_groups, scheduler.base_lrs, scheduler.lr_lambdas):
            group["lr"] = base * factor(scheduler.last_epoch)
        scheduler._last_lr = [group["lr"] for group in scheduler.optimizer.param_groups]


def with_total(section: Mapping[str, Any], total_steps: int) -> dict[str, Any]:
    """``build_scheduler`` with ``total_steps`` filled in where the schedule takes it and the config leaves it open."""
    takes = "total_steps" in inspect.signature(check_scheduler(section)).parameters
    conf = dict(section["conf"])
    if takes and not conf.get("total_steps"):
        conf["total_steps"] = total_steps
    return {**section, "conf": conf}
