"""Embeddings of pieces of a recording, and their clusters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nn.diarize import clustering as clusters
from nn.diarize.vbx import VBx


@dataclass
class Clustering:
    """Clustering of the voices of a recording.

    Args:
        name: agglomerative, spectral or vbx.
        threshold: cosine distance at which agglomerative clustering stops, which is also the first step of vbx.
        num_speakers: in each recording; None: found. Vbx begins with as many, and may find fewer.
        most_speakers: looked for by spectral clustering.
        vbx: settings of :class:`nn.diarize.vbx.VBx`: fa, fb, loop_prob; and dimensions, of embeddings.
    """

    name: str = "agglomerative"
    threshold: float = 0.4
    num_speakers: int | None = None
    most_speakers: int = 8
    vbx: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, x: np.ndarray, in_time: bool = True) -> np.ndarray:
        """The cluster of each embedding: (N, D) -> int (N,).

        Args:
            in_time: True if one embedding follows another in time; else vbx knows of no order.
        """
        if self.name == "spectral":
            return clusters.spectral(x, self.num_speakers, self.most_speakers)
        labels = clusters.agglomerative(x, self.threshold, self.num_speakers)
        if self.name != "vbx":
            return labels
        settings = dict(self.vbx)
        dimensions = settings.pop("dimensions", 16)
        model = VBx(**settings if in_time else settings | {"loop_prob": 0.0})
        return clusters.by_vbx(x, labels, model, dimensions)


def embeddings_of(embedder: nn.Module, pieces: Sequence[Tensor], at_once: int = 64) -> np.ndarray:
    """The mean of an upstream's last state over each piece of audio, of length 1: (pieces, D).

    Pieces of similar length are computed together.
    """
    embedder = embedder.to(pieces[0].device).eval()
    order = sorted(range(len(pieces)), key=lambda number: len(pieces[number]))
    rows: dict[int, np.ndarray] = {}
    for place in range(0, len(order), at_once):
        group = order[place : place + at_once]
        lengths = torch.tensor([len(pieces[number]) for number in group], device=pieces[0].device)
        padded = nn.utils.rnn.pad_sequence([pieces[number] for number in group], batch_first=True)
        with torch.no_grad():
            states, lens = embedder(padded, lengths)
        for number, own, n in zip(group, states[-1].float().cpu().numpy(), lens[-1].tolist()):
            rows[number] = own[: max(1, n)].mean(axis=0)
    return clusters.unit(np.stack([rows[number] for number in range(len(pieces))]))
