"""Embeddings of pieces of a recording, and their clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from nn.diarize import clustering as clusters


@dataclass
class Clustering:
    """Clustering of the voices of a recording.

    Args:
        name: agglomerative or spectral.
        threshold: cosine distance at which agglomerative clustering stops.
        num_speakers: in each recording; None: found.
        most_speakers: looked for by spectral clustering.
    """

    name: str = "agglomerative"
    threshold: float = 0.4
    num_speakers: int | None = None
    most_speakers: int = 8

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The cluster of each embedding: (N, D) -> int (N,)."""
        if self.name == "spectral":
            return clusters.spectral(x, self.num_speakers, self.most_speakers)
        return clusters.agglomerative(x, self.threshold, self.num_speakers)


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
