"""Pictures of posteriors: the probability of each symbol in each frame, small enough to be kept at each validation."""

from __future__ import annotations

import bisect
import json
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

LEVELS = "0123456789abcdefghijklmnopqrstuvwxyz"
"""Probabilities from 0 to 1, each as a character."""
LEAST, MOST_SYMBOLS, MOST_FRAMES = 0.1, 40, 400


def pictures(
    first: FirstIds, ids: Sequence[str], logits: Tensor, lengths: Tensor, *, symbols: Sequence[str], **settings: Any
) -> list[str]:
    """The posteriors of the utterances of a batch that are among the first; empty for others, and without symbols.

    Args:
        logits: (B, T, V or more), of which V are of the symbols. lengths: (B,). settings: of :func:`picture`.
    """
    return [
        picture(own[:length, : len(symbols)].softmax(dim=-1), symbols, **settings) if symbols and first.take(id) else ""
        for id, own, length in zip(ids, logits, lengths.tolist())
    ]


def picture(probs: Tensor, symbols: Sequence[str], frame_sec: float | None, blank: int = 0) -> str:
    """The posteriors of an utterance as JSON: ``symbols``, a text of :data:`LEVELS` for each, and ``frame_sec``.

    Symbols that are never likely are left out, and so is the blank; the others are in the order of their peaks. Of a
    long utterance, several frames are one, with the highest probability of each symbol.

    Args:
        probs: (T, V). symbols: the text of each of the V. frame_sec: seconds of a frame.
    """
    merged = max(1, -(-len(probs) // MOST_FRAMES))
    shown = probs.float().cpu()  # each symbol is looked at alone
    if len(shown):
        shown = F.max_pool1d(shown.T[None], merged, ceil_mode=True)[0].T
        peaks = shown.max(dim=0)
        likely = [token for token in range(len(symbols)) if token != blank and peaks.values[token] >= LEAST]
        likely = sorted(likely, key=lambda token: int(peaks.indices[token]))[:MOST_SYMBOLS]
    else:
        likely = []
    places = torch.clamp((shown * len(LEVELS)).long(), max=len(LEVELS) - 1)
    rows = ["".join(LEVELS[place] for place in places[:, token].tolist()) for token in likely]
    seconds = None if frame_sec is None else frame_sec * merged
    names = [symbols[token] for token in likely]
    return json.dumps({"symbols": names, "levels": rows, "frame_sec": seconds}, ensure_ascii=False)


class FirstIds:
    """The first ids of a pass, in their order, as far as this process has seen: more of them than there are in the end.

    Args:
        count: how many.
    """

    def __init__(self, count: int):
        self.count, self.ids = count, []

    def take(self, id: str) -> bool:
        """True if an id is among the first of those so far."""
        if self.count <= len(self.ids) and (not self.count or id > self.ids[-1]):
            return False
        bisect.insort(self.ids, id)
        del self.ids[self.count :]
        return True
