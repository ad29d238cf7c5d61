"""The collate function: items to a padded batch.

The type of a value, not its length, decides how it is put together, so that all batches have one form:

- a tensor with at least one dimension is a sequence: zero-padded along the first, with ``<key>_len``;
- a list of tensors is a list of layers (``hidden_states``): one padded tensor each, with ``hidden_lens``;
- a number is a scalar; a list or tuple of numbers is a vector of fixed size (the K labels of an intent);
- strings and lists of strings are kept as they are.
"""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence


class CollateError(ValueError):
    """Items do not fit into one batch; the message names the key and the utterance."""


def collate(items: list[dict[str, Any]]) -> dict[str, Any]:
    """Put items with the same keys together.

    Notation: B items, T the longest first dimension among them, L layers, K the size of a vector.

    Returns:
        By the type of the items' values:

        - tensor (t, ...) -> (B, T, ...) of its dtype, and ``<key>_len`` int64 (B,) unless the items have it;
        - tensor () -> (B,);
        - list of L tensors (t, ...) -> list of L (B, T, ...), and ``<key>_lens`` (``hidden_lens`` for
          ``hidden_states``): list of L int64 (B,);
        - bool, int, float -> bool, int64, float32 (B,);
        - list or tuple of K numbers -> (B, K) of these dtypes;
        - str -> list of B str; list or tuple of str -> list of B.

    Raises:
        CollateError: there are no items, their keys differ, or the values of a key do not fit together.
    """
    if not items:
        raise CollateError("a batch needs at least one item, got an empty list; check the batch sampler")
    _check_keys(items)
    batch: dict[str, Any] = {}
    for key in items[0]:
        values = [torch.from_numpy(v) if isinstance(v, np.ndarray) else v for v in (item[key] for item in items)]
        kind = _common_kind(key, values, items)
        if kind == "tensor":
            batch[key], lengths = _pad(key, values, items)
            if lengths is not None and f"{key}_len" not in items[0]:
                batch[f"{key}_len"] = lengths
        elif kind == "layers":
            _check_sizes(key, values, items)
            padded = [_pad(f"{key}[{i}]", list(layer), items) for i, layer in enumerate(zip(*values))]
            batch[key] = [states for states, _ in padded]
            lens_key = "hidden_lens" if key == "hidden_states" else f"{key}_lens"
            batch.setdefault(lens_key, [lengths for _, lengths in padded])
        elif kind == "number":
            batch[key] = _tensor(values, [values])
        elif kind == "numbers":
            _check_sizes(key, values, items)
            batch[key] = _tensor([list(value) for value in values], values)
        else:
            batch[key] = values
    return batch


def _check_keys(items: list[dict[str, Any]]) -> None:
    for item in items:
        if item.keys() != items[0].keys():
            differing = sorted(item.keys() ^ items[0].keys())
            raise CollateError(
                f"items of one batch must have the same keys, but only one of {_name(items[0])} and "
                f"{_name(item)} has {differing}"
            )


def _common_kind(key: str, values: list[Any], items: list[dict[str, Any]]) -> str:
    """Return the kind of all values of a key; a CollateError if they differ, or have no kind."""
    kinds = [_kind(value) for value in values]
    for item, kind, value in zip(items, kinds, values):
        if kind is None or kind != kinds[0]:
            raise CollateError(
                f"{key!r} of {_name(item)} is {_describe(value)}, of {_name(items[0])} {_describe(values[0])}; "
                "expected one kind: tensors, lists of tensors, numbers, lists of numbers, or strings"
            )
    return kinds[0]


def _kind(value: Any) -> str | None:
    if isinstance(value, torch.Tensor):
        return "tensor"
    if isinstance(value, str):
        return "string"
    if isinstance(value, (numbers.Real, np.bool_)):
        return "number"
    if isinstance(value, (list, tuple)):
        kinds = {_kind(entry) for entry in value}
        for plural, singular in (("layers", "tensor"), ("numbers", "number"), ("strings", "string")):
            if kinds == {singular}:
                return plural
        return "strings" if not kinds else None
    return None


def _pad(
    key: str, tensors: list[torch.Tensor], items: list[dict[str, Any]]
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return the padded tensor (B, T, ...) and the lengths (B,), None for scalars."""
    first = tensors[0]
    for item, tensor in zip(items, tensors):
        if tensor.dtype != first.dtype or tensor.ndim != first.ndim or tensor.shape[1:] != first.shape[1:]:
            raise CollateError(
                f"{key!r} of {_name(item)} is {_describe(tensor)}, of {_name(items[0])} {_describe(first)}; "
                "type and all sizes but the first must agree"
            )
    if first.ndim == 0:
        return torch.stack(tensors), None
    lengths = torch.tensor([len(tensor) for tensor in tensors], dtype=torch.int64)
    return pad_sequence(tensors, batch_first=True), lengths


def _check_sizes(key: str, values: Sequence[Sequence[Any]], items: list[dict[str, Any]]) -> None:
    for item, value in zip(items, values):
        if len(value) != len(values[0]):
            raise CollateError(
                f"{key!r} of {_name(item)} has {len(value)} entries, of {_name(items[0])} {len(values[0])}; "
                "they must agree (return sequences of different lengths as tensors)"
            )


def _tensor(values: list[Any], rows: Sequence[Sequence[Any]]) -> torch.Tensor:
    entries = [entry for row in rows for entry in row]
    if all(isinstance(entry, (bool, np.bool_)) for entry in entries):
        return torch.tensor(values, dtype=torch.bool)
    whole = all(isinstance(entry, (numbers.Integral, np.bool_)) for entry in entries)
    return torch.tensor(values, dtype=torch.int64 if whole else torch.float32)


def _name(item: dict[str, Any]) -> str:
    return f"utterance {item['id']!r}" if "id" in item else "an item"


def _describe(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"a {str(value.dtype).removeprefix('torch.')} tensor {tuple(value.shape)}"
    return f"of type {type(value).__name__}"
