"""Subsequence dynamic time warping: where in a document a query is said, for many pairs at once.

Each frame of the query is aligned with one frame of the document, which moves on by none, one or two frames (the
asymmetric step pattern of Sakoe and Chiba, 1978, without slope weights); the path begins and ends anywhere. A row of
the recursion depends on the row before it alone, so that a step computes it for all documents, queries and frames.

Notation: Q queries, N frames of the longest, B documents, T frames of the longest, D features.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from nn.mask import frame_mask

DISTANCES = ("cosine", "cosine_exp", "cosine_log", "euclidean")


def distances(queries: Tensor, documents: Tensor, kind: str = "cosine") -> Tensor:
    """The distance of each frame of each query to each frame of each document: (Q, B, N, T).

    ``cosine``: 1 - cos; ``cosine_exp``: exp(1 - cos) - 1; ``cosine_log``: -log((1 + cos) / 2); ``euclidean``.

    Args:
        queries: (Q, N, D). documents: (B, T, D).

    Raises:
        ValueError: there is no such kind.
    """
    if kind not in DISTANCES:
        raise ValueError(f"distance is {kind!r}: expected one of {', '.join(DISTANCES)}")
    if kind == "euclidean":
        return torch.cdist(queries[:, None], documents[None])
    cosine = torch.einsum("qnd,btd->qbnt", *(torch.nn.functional.normalize(x, dim=-1) for x in (queries, documents)))
    if kind == "cosine_log":
        return -((1 + cosine) / 2).clamp_min(1e-6).log()
    return 1 - cosine if kind == "cosine" else torch.expm1(1 - cosine)


def subsequence_dtw(cost: Tensor, query_len: Tensor, document_len: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The best alignment of each query inside each document.

    Args:
        cost: (Q, B, N, T). query_len: (Q,), at least 1. document_len: (B,), at least 1.

    Returns:
        The mean cost of a query frame on the best path, and the first and last frame of the document on it, int64:
        (Q, B) each.
    """
    queries, documents, frames, length = cost.shape
    inside = frame_mask(document_len, length)[None, :, :]
    steps = torch.arange(length, device=cost.device).expand(queries, documents, length)
    total, first = cost[:, :, 0], steps
    best = torch.full((queries, documents), torch.inf, device=cost.device)
    begin, end = (torch.zeros(queries, documents, dtype=torch.long, device=cost.device) for _ in range(2))
    for row in range(frames):
        if row:
            behind = torch.stack([pad(total, (move, 0), value=torch.inf)[..., :length] for move in range(3)])
            origins = torch.stack([pad(first, (move, 0))[..., :length] for move in range(3)])
            least, choice = behind.min(0)
            total, first = cost[:, :, row] + least, origins.gather(0, choice[None])[0]
        ends_here = query_len == row + 1
        if ends_here.any():
            value, place = total[ends_here].masked_fill(~inside, torch.inf).min(-1)
            best[ends_here] = value / (row + 1)
            end[ends_here] = place
            begin[ends_here] = first[ends_here].gather(-1, place[..., None])[..., 0]
    return best, begin, end
