"""Best-path decoding of CTC outputs (Graves et al. 2006, section 3.2)."""

from __future__ import annotations

from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class PathToken(NamedTuple):
    """A token of a path: its first and last frame, and the highest probability that it has in one of them."""

    token: int
    first: int
    last: int
    probability: float


def ctc_greedy(logits: Tensor, lens: Tensor, blank: int = 0) -> list[list[int]]:
    """The most likely token of each true frame, with repeats merged and blanks removed.

    Args:
        logits: (B, T, V), logits or log probabilities.
        lens: (B,) int64, frames of each item.
        blank: the index of CTC's blank.

    Returns:
        a list of token indices for each item. The result is copied to the host once.
    """
    best = logits.argmax(dim=-1)
    tokens = best.masked_fill(~_begins(best, lens, blank), -1).cpu()
    is_token = tokens >= 0
    flat = iter(tokens[is_token].tolist())
    return [list(islice(flat, count)) for count in is_token.sum(dim=1).tolist()]


def ctc_best_path(logits: Tensor, lens: Tensor, blank: int = 0) -> list[list[PathToken]]:
    """The tokens of :func:`ctc_greedy`, with their frames and probabilities. The arguments are the same."""
    probabilities, best = logits.float().softmax(dim=-1).max(dim=-1)
    begins = _begins(best, lens, blank).cpu().numpy()
    rows = zip(begins, best.cpu().numpy(), probabilities.cpu().numpy(), lens.tolist())
    return [_tokens(*row) for row in rows]


def _begins(best: Tensor, lens: Tensor, blank: int) -> Tensor:
    """True at the first frame of each token on the path ``best`` (B, T)."""
    previous = torch.nn.functional.pad(best[:, :-1], (1, 0), value=blank)
    step = torch.arange(best.shape[1], device=best.device)
    is_inside = step < lens.to(best.device, non_blocking=True).unsqueeze(1)
    return is_inside & (best != blank) & (best != previous)


def _tokens(begins: np.ndarray, path: np.ndarray, probabilities: np.ndarray, length: int) -> list[PathToken]:
    """The tokens of one path, all (T,)."""
    path = path[:length]
    changes = np.append(np.flatnonzero(path[1:] != path[:-1]) + 1, length)
    firsts = np.flatnonzero(begins)
    lasts = changes[np.searchsorted(changes, firsts, side="right")]
    return [
        PathToken(int(path[first]), int(first), int(last) - 1, float(probabilities[first:last].max()))
        for first, last in zip(firsts, lasts)
    ]


class GrowingPath:
    """The best path of an utterance whose logits come in chunks; only its last token can still change.

    Attributes:
        tokens: those of :func:`ctc_best_path` for all frames so far.
        frames: their number.
    """

    def __init__(self, blank: int = 0) -> None:
        self.blank, self.frames = blank, 0
        self.tokens: list[PathToken] = []

    def add(self, logits: Tensor) -> None:
        """Continue with the logits (1, T, V) of further frames."""
        count = logits.shape[1]
        (tokens,) = ctc_best_path(logits, torch.tensor([count]), self.blank) if count else ([],)
        moved = [own._replace(first=own.first + self.frames, last=own.last + self.frames) for own in tokens]
        if moved and self.tokens and _continues(self.tokens[-1], moved[0]):
            before, rest = self.tokens.pop(), moved[0]
            probability = max(before.probability, rest.probability)
            moved[0] = PathToken(rest.token, before.first, rest.last, probability)
        self.tokens += moved
        self.frames += count


def _continues(token: PathToken, following: PathToken) -> bool:
    """True if two tokens are parts of one."""
    return following.token == token.token and following.first == token.last + 1
