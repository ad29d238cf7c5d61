"""Sums of what a task tells of its training batches by name: further losses, and metrics such as accuracy."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from problems.engine.runtime import distributed


class NamedSums:
    """For each name the sum over units and their number, on the device, so that nothing waits for it."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}

    def add(self, values: Mapping[str, Tensor], units: float) -> None:
        """Add the means of a batch over its ``units``."""
        for name, value in values.items():
            summed = value.detach().double() * units
            self._add(name, torch.stack([summed, torch.full_like(summed, units)]))

    def join(self, other: NamedSums, is_counted: Tensor) -> None:
        """Add the sums of ``other`` if ``is_counted``, a tensor, is true."""
        for name, sums in other.sums.items():
            self._add(name, sums.masked_fill(~is_counted, 0.0))

    def _add(self, name: str, sums: Tensor) -> None:
        self.sums[name] = self.sums[name] + sums if name in self.sums else sums

    def take(self) -> dict[str, list[float]]:
        """Return the sum and the units of each name over all processes, and begin anew; every process must call it."""
        own, self.sums = self.sums, {}
        values = torch.stack(list(own.values())).tolist() if own else []
        if distributed.world().size == 1:
            return dict(zip(own, values))
        names = sorted({name for names in distributed.gather(list(own)) for name in names})
        by_name = dict(zip(own, values))
        flat = distributed.total([number for name in names for number in by_name.get(name, (0.0, 0.0))])
        return {name: list(flat[2 * place : 2 * place + 2]) for place, name in enumerate(names)}
