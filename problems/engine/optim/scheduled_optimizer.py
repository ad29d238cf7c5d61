"""From the gradients of a window to moved weights, for one optimizer or several."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from problems.engine.optim.optimizers import MAIN, lr_schedules


@dataclasses.dataclass
class OptimScheduler:
    """An optimizer with what belongs to it. Its gradients are clipped over its own parameters alone.

    Args:
        optimizer: over the parameters that it moves; no other one moves them.
        scheduler: of its learning rate; None leaves that alone.
        every: what steps the schedule: ``step``, ``epoch`` or ``validation``.
        name: of one among several, in the history.
        loss: the name of the loss that it follows.
        step_per_update: windows to an update; their gradients are summed, so that none is lost.
        max_norm: largest norm of the gradients; None clips nothing.
        norm_type: which norm; ``inf`` is the largest absolute value.
    """

    optimizer: torch.optim.Optimizer
    scheduler: Any = None
    every: str = lr_schedules.STEP
    name: str = ""
    loss: str = MAIN
    step_per_update: int = 1
    max_norm: float | None = None
    norm_type: float = 2.0
    held: dict[int, Tensor] = dataclasses.field(default_factory=dict)
    """Summed gradients of windows since the last update, by the parameter's number, and ..."""
    held_units: float = 0.0
    """... the units that they are a sum over."""

    @functools.cached_property
    def parameters(self) -> list[torch.nn.Parameter]:
        """What it moves."""
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    @property
    def gradients(self) -> list[Tensor]:
        """The gradients that there are."""
        return [p.grad for p in self.parameters if p.grad is not None]

    @property
    def skips_itself(self) -> bool:
        """Whether its step can be left out on the device, by a flag that nobody has to wait for."""
        return bool(self.optimizer.defaults.get("fused"))

    def norm(self) -> Tensor:
        """The norm of its gradients."""
        return torch.nn.utils.get_total_norm(self.gradients, self.norm_type)

    def due(self, step: int) -> bool:
        """Whether it updates after the window numbered ``step`` (from 1)."""
        return step % self.step_per_update == 0

    def hold(self, units: float) -> None:
        """Keep the gradients of a window for a later update."""
        for number, p in enumerate(self.parameters):
            if p.grad is not None:
                self.held[number] = self.held[number] + p.grad if number in self.held else p.grad.clone()
        self.held_units += units

    def update(self, units: float, norm: Tensor, finite: Tensor) -> Tensor:
        """Step with the mean of the gradients over ``units`` and those held, clipped.

        Args:
            norm: of the window's summed gradients.
            finite: whether they may be used, for an optimizer that leaves out its step itself.

        Returns:
            The norm of the mean, before clipping.
        """
        if self.held:
            for number, held in self.held.items():
                p = self.parameters[number]
                p.grad = held if p.grad is None else p.grad + held
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
            self.optimizer.found_inf = (~finite).float()
        self.optimizer.step()
        return mean

    def advance(self, when: str, metric: float | None = None) -> None:
        """Step the schedule where ``when`` is its time."""
        if self.scheduler is None or self.every != when:
            return
        if lr_schedules.goes_by_metric(self.scheduler):
            self.scheduler.step(metric)
        else:
            self.scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        """Optimizer, schedule, and the gradients that wait."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict() if self.scheduler else None,
            "held": dict(self.held),
            "held_units": self.held_units,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`state_dict` gave."""
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler and state["scheduler"]:
            lr_schedules.load_schedule(self.scheduler, state["scheduler"])
        self.held = {n: g.to(self.parameters[n].device) for n, g in state["held"].items()}
        self.held_units = state["held_units"]


class Guard:
    """Counts windows whose gradients are not finite, on the device that found out; reading them waits for it."""

    def __init__(self, device: torch.device):
        self.counts = torch.zeros(3, dtype=torch.int64, device=device)  # in all, in a row, the longest row

    def note(self, finite: Tensor) -> None:
        """Count a window."""
        bad = (~finite).long()
        row = (self.counts[1] + bad) * bad
        self.counts = torch.stack((self.counts[0] + bad, row, torch.maximum(self.counts[2], row)))

    def read(self) -> tuple[int, int, int]:
        """Windows skipped in all, in a row up to now, and in the longest row."""
        return tuple(self.counts.tolist())

    def set(self, everything: int, row: int) -> None:
        """Go on from counts that were saved."""
        self.counts = torch.tensor([everything, row, row], device=self.counts.device)
