"""Recurrent layers that can be exported for any length; torch's exporter would unroll them to that of its example.

While a model is exported, its LSTM, GRU and RNN layers call a function that is one layer in one direction: an operator
that becomes a node of ONNX, or :func:`scanned`.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

Recurrence = Callable[..., tuple[Tensor, Tensor, Tensor]]
"""(kind, x (B, T, F), weights) -> outputs (B, T, units), last state (B, units), and last cell."""


def with_recurrence(model: nn.Module, run: Recurrence) -> nn.Module:
    """A copy of a model whose recurrent layers call ``run``, if it has any; otherwise itself.

    Raises:
        ValueError: a layer has projections.
    """
    if not any(isinstance(own, nn.RNNBase) for own in model.modules()):
        return model
    model = copy.deepcopy(model)
    for own in model.modules():
        if isinstance(own, nn.RNNBase):
            if own.proj_size:
                raise ValueError("a recurrent layer with projections (proj_size) can only be exported for one length")
            own.forward = functools.partial(_forward, own, run)
    return model


def _forward(layer: nn.RNNBase, run: Recurrence, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
    """The forward of a recurrent layer, by ``run``; there are no packed sequences and no initial state."""
    if not isinstance(x, Tensor) or state is not None:
        raise ValueError("a recurrent layer is called with a packed sequence or an initial state")
    hidden, cells = [], []
    y = x if layer.batch_first else x.transpose(0, 1)
    for number in range(layer.num_layers):
        outputs = []
        for suffix in ("", "_reverse") if layer.bidirectional else ("",):
            output, h, c = run(layer.mode, y.flip(1) if suffix else y, *_weights(layer, f"l{number}{suffix}"))
            outputs.append(output.flip(1) if suffix else output)
            hidden.append(h)
            cells.append(c)
        y = torch.cat(outputs, dim=-1)
    states = torch.stack(hidden), torch.stack(cells)
    return (y if layer.batch_first else y.transpose(0, 1)), (states if layer.mode == "LSTM" else states[0])


def _weights(layer: nn.RNNBase, suffix: str) -> list[Tensor]:
    """Of the inputs and the state: (gates * units, inputs), (gates * units, units), and biases."""
    weights = [getattr(layer, f"weight_{part}_{suffix}") for part in ("ih", "hh")]
    if not layer.bias:
        return [*weights, *(weights[0].new_zeros(len(weights[0])) for _ in range(2))]
    return [*weights, *(getattr(layer, f"bias_{part}_{suffix}") for part in ("ih", "hh"))]


def scanned(kind: str, x: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A layer as torch's ``scan``: a step that the program applies to each frame, however many there are.

    Args:
        kind: torch's name of the recurrence: LSTM, GRU, RNN_TANH or RNN_RELU.
    """
    from torch._higher_order_ops import scan  # torch has no public name for it yet

    weight, recurrent_weight, bias, recurrent_bias = weights
    zeros = x.new_zeros(x.shape[0], recurrent_weight.shape[1])

    def step(states: list[Tensor], own: Tensor) -> tuple[list[Tensor], Tensor]:
        past = states[0] @ recurrent_weight.T + recurrent_bias
        states = _STEPS[kind](states, own, past)
        return states, states[0].clone()  # what scan stacks may not be what it carries

    inputs = (x @ weight.T + bias).transpose(0, 1)
    states, y = scan(step, [zeros, zeros.clone()] if kind == "LSTM" else [zeros], inputs, dim=0)
    return y.transpose(0, 1), states[0], states[-1]


def _lstm(states: list[Tensor], own: Tensor, past: Tensor) -> list[Tensor]:
    into, forget, cell, out = (own + past).chunk(4, dim=1)
    kept = forget.sigmoid() * states[1] + into.sigmoid() * cell.tanh()
    return [out.sigmoid() * kept.tanh(), kept]


def _gru(states: list[Tensor], own: Tensor, past: Tensor) -> list[Tensor]:
    (reset, update, new), (past_reset, past_update, past_new) = own.chunk(3, dim=1), past.chunk(3, dim=1)
    new = (new + (reset + past_reset).sigmoid() * past_new).tanh()
    return [torch.lerp(new, states[0], (update + past_update).sigmoid())]


_STEPS: dict[str, Callable[[list[Tensor], Tensor, Tensor], list[Tensor]]] = {
    "LSTM": _lstm,
    "GRU": _gru,
    "RNN_TANH": lambda states, own, past: [(own + past).tanh()],
    "RNN_RELU": lambda states, own, past: [(own + past).relu()],
}
"""The states after a frame, by the kind of recurrence: from those before, what the frame adds, and what they add."""
