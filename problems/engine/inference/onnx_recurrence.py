"""Recurrent layers as ONNX nodes.

While a model is exported, they call an operator that stands for one layer in one direction, and that becomes one node.
ONNX orders the gates otherwise: LSTM input, output, forget, cell; GRU update, reset, hidden.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

NAME = "soundstage::recurrence"
GATES = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN_TANH": (0,), "RNN_RELU": (0,)}
"""By torch's name of a recurrence, the places of ONNX's gates among torch's."""


@functools.cache
def operator() -> Callable[..., tuple[Tensor, Tensor, Tensor]]:
    """(kind, x (B, T, F), weights) -> outputs (B, T, units), last state (B, units), and last cell. It only has a shape.

    It is registered when it is first asked for, as importing must not change torch.
    """
    weights = ", ".join(f"Tensor {name}" for name in ("weight", "recurrent_weight", "bias", "recurrent_bias"))
    torch.library.define(NAME, f"(str kind, Tensor x, {weights}) -> (Tensor, Tensor, Tensor)")

    @torch.library.register_fake(NAME)
    def shapes(kind: str, x: Tensor, weight: Tensor, recurrent_weight: Tensor, *biases: Tensor) -> Any:
        units = recurrent_weight.shape[1]
        state = x.new_empty(x.shape[0], units)
        return x.new_empty(x.shape[0], x.shape[1], units), state, torch.empty_like(state)

    return torch.ops.soundstage.recurrence.default


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """By the operator, the function that writes its node, for ``torch.onnx.export``."""
    from onnxscript import opset18 as op

    def ordered(weights: Any, units: int, kind: str) -> Any:
        gates = [op.Slice(weights, [place * units], [(place + 1) * units], [0]) for place in GATES[kind]]
        return op.Concat(*gates, axis=0) if len(gates) > 1 else gates[0]

    def node(kind: str, x: Any, weight: Any, recurrent_weight: Any, bias: Any, recurrent_bias: Any) -> Any:
        units = recurrent_weight.shape[1]
        weights = [op.Unsqueeze(ordered(own, units, kind), [0]) for own in (weight, recurrent_weight)]
        biases = op.Concat(*(ordered(own, units, kind) for own in (bias, recurrent_bias)), axis=0)
        inputs = (op.Transpose(x, perm=[1, 0, 2]), *weights, op.Unsqueeze(biases, [0]))
        if kind == "LSTM":
            y, hidden, cell = op.LSTM(*inputs, hidden_size=units)
        elif kind == "GRU":
            y, hidden = op.GRU(*inputs, hidden_size=units, linear_before_reset=1)
            cell = hidden
        else:
            y, hidden = op.RNN(*inputs, hidden_size=units, activations=[kind.removeprefix("RNN_").capitalize()])
            cell = hidden
        y = op.Transpose(op.Squeeze(y, [1]), perm=[1, 0, 2])
        return y, op.Squeeze(hidden, [0]), op.Squeeze(cell, [0])

    return {operator(): node}
