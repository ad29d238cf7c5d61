"""Learning rate schedules: formulas, newbob and the classes of torch, by name.

Notation: ``s`` is how often the schedule has been stepped, ``T`` is ``total_steps``; both count steps, epochs or
validations, as ``build_scheduler.every`` says. A formula is a factor on each group's own rate. It becomes torch's
``LambdaLR``, so that its state is one number.
"""

from __future__ import annotations

import bisect
import inspect
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch.optim import Optimizer, lr_scheduler
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

from problems.engine.config.signatures import check_conf, find_class
from problems.engine.runtime.errors import ConfigError

log = logging.getLogger(__name__)

STEP, EPOCH, VALIDATION = "step", "epoch", "validation"


def _warmup(s: int, warmup: int) -> float:
    """(s + 1)/(w + 1) before w = ``warmup``."""
    return (s + 1) / (warmup + 1)


def _after_warmup(s: int, warmup: int, total_steps: int) -> float:
    """The share of the steps after the warm-up that have been taken: (s - w)/(T - w), at most 1."""
    return min(1.0, (s - warmup) / max(1, total_steps - warmup))


def warmup_linear(step: int, warmup: int = 100, total_steps: int = 0, final: float = 0.0) -> float:
    """Up to w = warmup, then a straight line from 1 to ``final``: 1 - (1 - final)(s - w)/(T - w)."""
    if step < warmup:
        return _warmup(step, warmup)
    return 1 - (1 - final) * _after_warmup(step, warmup, total_steps)


def warmup_cosine(step: int, warmup: int = 100, total_steps: int = 0, final: float = 0.0) -> float:
    """Up to w = warmup, then half a cosine to ``final``: final + (1 - final)(1 + cos(pi (s - w)/(T - w)))/2."""
    if step < warmup:
        return _warmup(step, warmup)
    return final + (1 - final) * (1 + math.cos(math.pi * _after_warmup(step, warmup, total_steps))) / 2


def warmup_exponential(step: int, warmup: int = 100, total_steps: int = 0, final: float = 0.1) -> float:
    """Up to w = warmup, then an exponential from 1 to ``final``: final^((s - w)/(T - w))."""
    if step < warmup:
        return _warmup(step, warmup)
    return final ** _after_warmup(step, warmup, total_steps)


def warmup_constant(step: int, warmup: int = 100) -> float:
    """Up to w = warmup, then 1."""
    return min(1.0, _warmup(step, warmup))


def noam(step: int, warmup: int = 4000, model_size: int | None = None) -> float:
    """Inverse square root: c min(n^-0.5, n w^-1.5) with n = s + 1; c = w^0.5, so that it peaks at 1 for n = w.

    With ``model_size`` c is model_size^-0.5, as in Vaswani et al., "Attention is all you need", 2017.
    """
    n, w = step + 1, max(1, warmup)
    return (model_size**-0.5 if model_size else w**0.5) * min(n**-0.5, n * w**-1.5)


def tri_stage(
    step: int, total_steps: int = 0, parts: Sequence[float] = (0.1, 0.4, 0.5), start: float = 0.01, final: float = 0.05
) -> float:
    """Up, hold, decay, in the given ``parts`` of T: start + (1 - start) s/a, then 1, then final^((s - a - b)/c).

    As wav2vec 2.0 was fine-tuned: Baevski et al., 2020.
    """
    up, hold, down = (part * total_steps for part in parts)
    if step < up:
        return start + (1 - start) * step / up
    if step < up + hold:
        return 1.0
    return final ** min(1.0, (step - up - hold) / max(down, 1e-9))


def cyclic(step: int, period: int = 2000, low: float = 0.1, shrink: float = 1.0) -> float:
    """Triangles between ``low`` and 1, up for half a ``period`` p and down for half, each ``shrink`` times as high.

    low + (1 - low) shrink^k (1 - |2(s/p - k) - 1|) with k = floor(s/p). Smith, "Cyclical learning rates", 2017;
    shrink = 0.5 is its triangular2.
    """
    cycle, place = divmod(step / period, 1)
    return low + (1 - low) * shrink**cycle * (1 - abs(2 * place - 1))


def interval(step: int, at: Sequence[int] = (), factors: Sequence[float] = ()) -> float:
    """1 before the first step in ``at``, then the factor of the last one passed."""
    if len(at) != len(factors) or list(at) != sorted(at):
        raise ValueError(f"at {list(at)} and factors {list(factors)}: expected equally many, and at in rising order")
    passed = bisect.bisect_right(at, step)
    return factors[passed - 1] if passed else 1.0


class NewBob:
    """Lower the learning rate when the metric hardly gains.

    A step is poor if its relative gain, (previous - new)/|previous|, is under ``threshold``; from a metric of 0 there
    is none. The first ``patience`` poor steps are let pass, the next one multiplies the rate by ``factor``, and the
    count begins anew. Steps that gain do not reset the count.

    This is SpeechBrain's ``NewBobScheduler``, after the "newbob" rule of ICSI's QuickNet.

    Args:
        mode: ``min`` if less of the metric is better, ``max`` if more is.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 0.5,
        threshold: float = 0.0025,
        patience: int = 0,
        mode: str = "min",
        min_lr: float = 0.0,
    ):
        self.optimizer, self.factor, self.threshold, self.patience = optimizer, factor, threshold, patience
        self.sign, self.min_lr = -1 if mode == "max" else 1, min_lr
        self.previous: float | None = None
        self.waited = 0

    def step(self, metrics: float) -> None:
        """Take the next value of the metric."""
        previous, self.previous = self.previous, metrics
        if previous is None:
            return
        gain = self.sign * (previous - metrics) / abs(previous) if previous else 0.0
        if gain >= self.threshold:
            return
        self.waited += 1
        if self.waited > self.patience:
            self.waited = 0
            for group in self.optimizer.param_groups:
                group["lr"] = max(self.min_lr, group["lr"] * self.factor)

    def state_dict(self) -> dict[str, Any]:
        """The state that the next step depends on; the rates are part of the optimizer's state."""
        return {"previous": self.previous, "waited": self.waited}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        self.previous, self.waited = state["previous"], state["waited"]


FORMULAS: dict[str, Callable[..., float]] = {
    "warmup_linear": warmup_linear,
    "warmup_cosine": warmup_cosine,
    "warmup_exponential": warmup_exponential,
    "warmup_constant": warmup_constant,
    "noam": noam,
    "tri_stage": tri_stage,
    "cyclic": cyclic,
    "interval": interval,
}
NEWBOB, PLATEAU = "newbob", "ReduceLROnPlateau"


def check_scheduler(section: Mapping[str, Any]) -> Callable[..., Any]:
    """Return the formula or class that ``build_scheduler`` names.

    Raises:
        ConfigError: it, or one of its settings, does not exist, or it cannot be stepped at the time that it asks for.
    """
    name, builtin = section["name"], {**FORMULAS, NEWBOB: NewBob}
    schedule = builtin.get(name) or find_class(lr_scheduler, LRScheduler, name, "build_scheduler", also=builtin)
    check_conf(
        schedule, section["conf"], "build_scheduler.conf", supplied=("step", "optimizer"), optional=("total_steps",)
    )
    by_metric, every = name in (NEWBOB, PLATEAU), section.get("every")
    if every and by_metric != (every == VALIDATION):
        allowed = VALIDATION if by_metric else f"{STEP} or {EPOCH}"
        raise ConfigError(f"build_scheduler.every: {name} cannot be stepped by {every!r}: expected {allowed}, or null")
    return schedule


def build_scheduler(section: Mapping[str, Any], optimizer: Optimizer) -> Any:
    """Build the schedule of ``optimizer`` that the section names.

    Raises:
        ConfigError: as :func:`check_scheduler`, or the schedule refuses a setting's value.
    """
    schedule, conf = check_scheduler(section), dict(section["conf"])
    try:
        if section["name"] in FORMULAS:
            schedule(0, **conf)  # so that a value that it refuses is reported here, not in the first step
            return LambdaLR(optimizer, lambda step: schedule(step, **conf))
        return schedule(optimizer, **conf)
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise ConfigError(f"build_scheduler: invalid settings of {section['name']}: {error}") from error


def every(section: Mapping[str, Any]) -> str:
    """Return when to step: ``every`` if given, else validation for schedules by a metric and step for others."""
    return section.get("every") or (VALIDATION if section["name"] in (NEWBOB, PLATEAU) else STEP)


def check_validation(section: Mapping[str, Any], valid_metric: str | None) -> None:
    """Check that there are validations if the schedule is stepped by them.

    Raises:
        ConfigError: there are none.
    """
    if every(section) == VALIDATION and valid_metric is None:
        raise ConfigError(f"build_scheduler: {section['name']} needs validations; set train.valid_metric")


def planned(section: Mapping[str, Any], steps: int, epochs: int, higher_better: bool = False) -> dict[str, Any]:
    """Return the section with what the training knows filled in, if the schedule takes it and the config omits it.

    That is ``total_steps`` (the training's steps or epochs), and the ``mode`` of a schedule by a metric. A warm-up
    that is longer than the training is logged as a warning.
    """
    parameters, conf = inspect.signature(check_scheduler(section)).parameters, dict(section["conf"])
    when = every(section)
    duration = epochs if when == EPOCH else steps
    if "total_steps" in parameters and not conf.get("total_steps"):
        conf["total_steps"] = duration
    if when == VALIDATION and "mode" in parameters:
        conf.setdefault("mode", "max" if higher_better else "min")
    if "warmup" in parameters:
        warmup = conf.get("warmup", parameters["warmup"].default)
        if warmup > duration:
            log.warning(
                "build_scheduler.conf.warmup: the warm-up of %s takes %d %ss, longer than the training (%d):"
                " the learning rate never reaches its full value",
                *(section["name"], warmup, when, duration),
            )
    return {**section, "conf": conf}


def load_schedule(scheduler: Any, state: Mapping[str, Any]) -> None:
    """Restore a schedule's state but keep this run's total; the next step is taken at the rate of the new plan."""
    plan = {name: vars(scheduler)[name] for name in ("total_steps", "_schedule_phases") if name in vars(scheduler)}
    scheduler.load_state_dict(state)
    vars(scheduler).update(plan)
    if isinstance(scheduler, LambdaLR):
        for group, base, factor in zip(scheduler.optimizer.param_groups, scheduler.base_lrs, scheduler.lr_lambdas):
            group["lr"] = base * factor(scheduler.last_epoch)
        scheduler._last_lr = [group["lr"] for group in scheduler.optimizer.param_groups]
    elif isinstance(scheduler, OneCycleLR) and scheduler.last_epoch > 0:
        steps_taken = scheduler._step_count
        scheduler.last_epoch -= 1
        scheduler.step()  # its rate is a function of last_epoch alone
        scheduler._step_count = steps_taken


def goes_by_metric(scheduler: Any) -> bool:
    """Return True if ``scheduler.step`` takes the value of the metric."""
    return isinstance(scheduler, (NewBob, ReduceLROnPlateau))
