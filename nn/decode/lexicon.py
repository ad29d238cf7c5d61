"""The words of a lexicon as a tree of characters, which tokens walk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

ROOT, OUTSIDE = 0, -1
"""The beginning of a word, and what is not the beginning of any word."""


class Lexicon:
    """Moves from node to node by tokens, many at once.

    Args:
        words: the number of each word by its text.
        tokens: the text of each token inside words; None for one that is in none.
        other: the number of any word that is not in the lexicon.
    """

    def __init__(self, words: Mapping[str, int], tokens: Sequence[str | None], other: int):
        children: list[dict[str, int]] = [{}]
        ends: dict[int, int] = {}
        for text, number in sorted(words.items()):
            node = ROOT
            for character in text:
                if character not in children[node]:
                    children[node][character] = len(children)
                    children.append({})
                node = children[node][character]
            ends[node] = number
        by_first: dict[str, list[tuple[int, str]]] = {}
        for token, text in enumerate(tokens):
            if text:
                by_first.setdefault(text[0], []).append((token, text))
        moves = sorted(
            (node * len(tokens) + token, target)
            for node, own in enumerate(children)
            for first in own
            for token, text in by_first.get(first, ())
            if (target := _walk(children, node, text)) is not None
        )
        self.tokens = len(tokens)
        self.keys = torch.tensor([key for key, _ in moves] or [-1], dtype=torch.int64)
        self.targets = torch.tensor([target for _, target in moves] or [OUTSIDE], dtype=torch.int64)
        self.word = torch.full((len(children) + 1,), other, dtype=torch.int64)  # the last is that of OUTSIDE, -1
        self.is_word = torch.zeros(len(children) + 1, dtype=torch.bool)
        for node, number in ends.items():
            self.word[node], self.is_word[node] = number, True

    def to(self, device: torch.device) -> Lexicon:
        """Move the tensors to a device, in place."""
        for name in ("keys", "targets", "word", "is_word"):
            setattr(self, name, getattr(self, name).to(device))
        return self

    def move(self, nodes: Tensor, tokens: Tensor) -> Tensor:
        """The node after each token: int64 of one shape -> int64, ``OUTSIDE`` if no word goes on like that."""
        keys = nodes * self.tokens + tokens
        place = torch.searchsorted(self.keys, keys.contiguous()).clamp(max=len(self.keys) - 1)
        is_inside = (nodes != OUTSIDE) & (self.keys[place] == keys)
        return torch.where(is_inside, self.targets[place], OUTSIDE)


def _walk(children: Sequence[Mapping[str, int]], node: int, text: str) -> int | None:
    for character in text:
        if character not in children[node]:
            return None
        node = children[node][character]
    return node
