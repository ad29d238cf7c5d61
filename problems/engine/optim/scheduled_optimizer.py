"""An optimizer with its schedule, clipping and accumulation: from the gradients of a window to moved weights."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from problems.engine.optim import lr_schedules
from problems.engine.optim.optimizers import MAIN
from problems.engine.runtime.sharded import divide_state, divided_as, whole


@dataclasses.dataclass
class OptimScheduler:
    """An optimizer and what belongs to it. Its gradients are clipped over its own parameters alone.

    Args:
        optimizer: over the parameters that it moves; no other optimizer moves them.
        build_schedule: builds the schedule of its learning rate for the training's length; None: there is none.
        scheduler: a schedule that is built already.
        every: when to step the schedule: ``step``, ``epoch`` or ``validation``.
        name: its name among several, in the history.
        loss: the name of the loss that it follows.
        step_per_update: windows to an update; their gradients are summed, so that none is lost.
        max_norm: largest norm of the gradients; None clips nothing.
        norm_type: which norm; ``inf`` is the largest absolute value.
    """

    optimizer: torch.optim.Optimizer
    _: dataclasses.KW_ONLY
    build_schedule: Callable[[], Any] | None = None
    scheduler: Any = None
    every: str = lr_schedules.STEP
    name: str = ""
    loss: str = MAIN
    step_per_update: int = 1
    max_norm: float | None = None
    norm_type: float = 2.0
    held: dict[int, Tensor] = dataclasses.field(default_factory=dict, init=False)
    """Gradients accumulated since the last update, by parameter number."""
    held_units: float = dataclasses.field(default=0.0, init=False)
    """Units (utterances or tokens) accumulated since then."""

    def __post_init__(self) -> None:
        if self.build_schedule:
            self.scheduler = self.build_schedule()

    def plan_again(self) -> None:
        """Build the schedule for the length that the training has now; it goes on at the rate of the new plan."""
        if self.build_schedule:
            state = self.scheduler.state_dict()
            self.scheduler = self.build_schedule()
            lr_schedules.load_schedule(self.scheduler, state)

    @functools.cached_property
    def parameters(self) -> list[torch.nn.Parameter]:
        """The parameters that it moves."""
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    @property
    def gradients(self) -> list[Tensor]:
        """The gradients of those parameters that have one."""
        return [p.grad for p in self.parameters if p.grad is not None]

    @property
    def skips_itself(self) -> bool:
        """True if its step can be skipped on the device, by a flag that nobody has to wait for."""
        return bool(self.optimizer.defaults.get("fused"))

    def learning_rates(self) -> dict[str, float]:
        """Return the rate of each parameter group: ``lr``, ``lr/1``, ``lr/2``, ..., with ``lr_<name>`` for ``lr``."""
        name = f"lr_{self.name}" if self.name else "lr"
        rates = [group["lr"] for group in self.optimizer.param_groups]
        return {f"{name}/{number}" if number else name: rate for number, rate in enumerate(rates)}

    def norm(self) -> Tensor:
        """The norm of its gradients."""
        return whole(torch.nn.utils.get_total_norm(self.gradients, self.norm_type))

    def due(self, step: int) -> bool:
        """Return True if it updates after the window numbered ``step`` (from 1)."""
        return step % self.step_per_update == 0

    def hold(self, units: float) -> None:
        """Keep the gradients of a window for a later update."""
        for number, p in enumerate(self.parameters):
            if p.grad is not None:
                self.held[number] = self.held[number] + p.grad if number in self.held else p.grad.clone()
        self.held_units += units

    def update(self, units: float, norm: Tensor, is_finite: Tensor) -> Tensor:
        """Step with the mean of the gradients over ``units`` and those held, clipped.

        Args:
            units: of the window; 1.0 leaves its gradients as they are.
            norm: of the window's summed gradients.
            is_finite: False on the device tells an optimizer that :attr:`skips_itself` to do so.

        Returns:
            The norm of the mean, before clipping.
        """
        if self.held:
            self._add_held()
            units, norm = units + self.held_units, self.norm()
            self.held, self.held_units = {}, 0.0
        if not self.gradients:
            return norm
        mean = norm / units if units != 1.0 else norm
        factor = None if self.max_norm is None else torch.clamp(self.max_norm / (mean + 1e-6), max=1.0)
        if units != 1.0:
            factor = torch.full_like(mean, 1 / units) if factor is None else factor / units
        if factor is not None:
            torch._foreach_mul_(self.gradients, factor.to(self.gradients[0].device))
        if self.skips_itself:
            self.optimizer.found_inf = (~is_finite).float()
        self.optimizer.step()
        return mean

    def _add_held(self) -> None:
        for number, gradient in self.held.items():
            p = self.parameters[number]
            p.grad = gradient if p.grad is None else p.grad + gradient

    def advance(self, when: str, metric: float | None = None) -> None:
        """Step the schedule if it is stepped at this time.

        Args:
            when: ``step``, ``epoch`` or ``validation``.
            metric: of the validation.
        """
        if self.scheduler is None or self.every != when:
            return
        if lr_schedules.goes_by_metric(self.scheduler):
            self.scheduler.step(metric)
        else:
            self.scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        """Return the state of optimizer and schedule, and the gradients that are held."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict() if self.scheduler else None,
            "held": dict(self.held),
            "held_units": self.held_units,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        self.optimizer.load_state_dict(state["optimizer"])
        divide_state(self.optimizer)
        if self.scheduler and state["scheduler"]:
            lr_schedules.load_schedule(self.scheduler, state["scheduler"])
        held = ((number, g, self.parameters[number]) for number, g in state["held"].items())
        self.held = {number: divided_as(g.to(p.device), p) for number, g, p in held}
        self.held_units = state["held_units"]
