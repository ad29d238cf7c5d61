"""Compare nested structures to the last bit."""

from __future__ import annotations

import torch


def equal(a, b) -> bool:
    """Return True if two nested structures are the same, tensors bit for bit: +0 and -0 differ."""
    if isinstance(a, torch.Tensor):
        same_form = isinstance(b, torch.Tensor) and (a.dtype, a.shape) == (b.dtype, b.shape)
        return same_form and torch.equal(_bytes_of(a), _bytes_of(b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b


def _bytes_of(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
