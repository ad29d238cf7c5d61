"""Embeddings as text, for records of a test."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import numpy as np
from torch import Tensor


def to_text(embeddings: Tensor) -> list[str]:
    """Each of the embeddings (B, D) as text: its float32 values, little-endian, in base 64."""
    rows = embeddings.detach().float().cpu().numpy().astype("<f4")
    return [base64.b64encode(row.tobytes()).decode("ascii") for row in rows]


def from_text(texts: Sequence[str]) -> np.ndarray:
    """The embeddings that :func:`to_text` wrote, float32 (B, D)."""
    return np.stack([np.frombuffer(base64.b64decode(text), dtype="<f4") for text in texts]).astype(np.float32)
