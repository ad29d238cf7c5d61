"""Copy each batch to the GPU while the one before it is computed on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import torch

T = TypeVar("T")


def to_device(value: Any, device: torch.device) -> Any:
    """Return a batch with every tensor on ``device``; copies from pinned memory do not wait."""
    if isinstance(value, torch.Tensor):
        return value.to(device, non_blocking=True)
    if isinstance(value, Mapping):
        return {k: to_device(v, device) for k, v in value.items()}
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], torch.Tensor):
        return type(value)(to_device(v, device) for v in value)
    return value


def prefetch(stream: Iterator[tuple[T, Any]], device: torch.device) -> Iterator[tuple[T, Any]]:
    """Yield the (place, batch) pairs of ``stream``, each batch copied to a GPU one turn before it is needed."""
    if device.type != "cuda":
        yield from stream
        return
    copies, waiting = torch.cuda.Stream(device), None
    for place, batch in stream:
        with torch.cuda.stream(copies):
            moved = place, to_device(batch, device), copies.record_event()
        if waiting is not None:
            yield _arrived(*waiting, device)
        waiting = moved
    if waiting is not None:
        yield _arrived(*waiting, device)


def _arrived(place: T, batch: Any, copied: torch.cuda.Event, device: torch.device) -> tuple[T, Any]:
    """Make later work on the current stream wait for the copy, and keep the memory until that work is done."""
    current = torch.cuda.current_stream(device)
    current.wait_event(copied)
    for tensor in _tensors(batch):
        tensor.record_stream(current)
    return place, batch


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _tensors(part)
