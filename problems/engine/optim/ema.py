"""An exponential moving average of the weights, validated and saved in their place."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from problems.engine.runtime.sharded import divided_as


class EMA:
    """m <- d m + (1 - d) w after each step, with d = min(decay, (1 + n)/(10 + n)) for the n-th, so that it starts fast.

    That start is TensorFlow's ``num_updates`` rule.

    Args:
        parameters: the weights to average.
        decay: d; 0.999 remembers about 1000 steps.
    """

    def __init__(self, parameters: Sequence[torch.nn.Parameter], decay: float):
        self.parameters, self.decay, self.updates = list(parameters), decay, 0
        self.mean: list[torch.Tensor] = []
        """The average; empty before the first update."""

    def update(self) -> None:
        """Add the weights after a step to the average."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        weights = [p.detach() for p in self.parameters]
        if self.mean:
            torch._foreach_lerp_(self.mean, weights, 1 - decay)
        else:
            self.mean = [w.clone() for w in weights]

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the average in the place of the weights inside the ``with`` block."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for p, mean in zip(self.parameters, self.mean):
            weights = p.detach().clone()
            p.copy_(mean)
            mean.copy_(weights)

    def state_dict(self) -> dict[str, Any]:
        """Return the weights in training; a checkpoint's model holds the average."""
        return {"updates": self.updates, "weights": [p.detach().clone() for p in self.parameters]}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned, while the model holds the average of its checkpoint."""
        self.updates = state["updates"]
        if not self.updates:
            return
        self.mean = [p.detach().clone() for p in self.parameters]
        for p, weights in zip(self.parameters, state["weights"]):
            p.copy_(divided_as(weights, p))
