"""An n-gram language model as tensors: arcs sorted by state and word, with backing off."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
UNSEEN = math.log(1e-7)
"""The log probability of a word that a model without an unknown word does not have."""


class NgramModel:
    """Scores words after states, many at once.

    A state is a history that the model knows; 0 is the empty one.

    Args:
        ngrams: log10 probability and log10 backoff weight by n-gram, as in an ARPA file.

    Attributes:
        words: the number of each word. start: the state of a sentence's begin. unknown: the number of any other word.
    """

    def __init__(self, ngrams: Mapping[tuple[str, ...], tuple[float, float]]):
        vocabulary = sorted({word for ngram in ngrams for word in ngram} | {END, UNKNOWN})
        self.words = {word: number for number, word in enumerate(vocabulary)}
        self.unknown = self.words[UNKNOWN]
        self.order = max(map(len, ngrams))
        histories = [(), *sorted((n for n in ngrams if len(n) < self.order), key=lambda n: (len(n), n))]
        state_of = {history: state for state, history in enumerate(histories)}
        self.start = state_of.get((BEGIN,), 0)
        scale = math.log(10)
        arcs = [
            (state_of[n[:-1]] * len(self.words) + self.words[n[-1]], p * scale, _longest(n, state_of))
            for n, (p, _) in ngrams.items()
            if n[:-1] in state_of
        ]
        arcs.sort()
        self.keys = torch.tensor([key for key, *_ in arcs], dtype=torch.int64)
        self.scores = torch.tensor([score for _, score, _ in arcs], dtype=torch.float64)
        self.targets = torch.tensor([target for *_, target in arcs], dtype=torch.int64)
        self.backoff = torch.tensor(
            [ngrams.get(h, (0.0, 0.0))[1] * scale if h else UNSEEN for h in histories], dtype=torch.float64
        )
        self.shorter = torch.tensor([_longest(h[1:], state_of) if h else 0 for h in histories], dtype=torch.int64)

    def to(self, device: torch.device) -> NgramModel:
        """Move the tensors to a device, in place."""
        for name in ("keys", "scores", "targets", "backoff", "shorter"):
            setattr(self, name, getattr(self, name).to(device))
        return self

    def score(self, states: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """The natural log probability of each word after its state, and the state after it.

        Args:
            states, words: int64 of one shape.

        Returns:
            float64 and int64 of that shape.
        """
        shape = states.shape
        states, words = states.reshape(-1), words.reshape(-1)
        total = torch.zeros(len(states), dtype=torch.float64, device=states.device)
        after, open_ = torch.zeros_like(states), torch.ones_like(states, dtype=torch.bool)
        for _ in range(self.order):
            keys = states * len(self.words) + words
            place = torch.searchsorted(self.keys, keys).clamp(max=len(self.keys) - 1)
            is_found = open_ & (self.keys[place] == keys)
            total = torch.where(is_found, total + self.scores[place], total)
            after = torch.where(is_found, self.targets[place], after)
            open_ = open_ & ~is_found
            total = torch.where(open_, total + self.backoff[states], total)
            open_ = open_ & (states != 0)  # there is nothing shorter to back off to
            states = torch.where(open_, self.shorter[states], states)
        return total.reshape(shape), after.reshape(shape)


def _longest(words: tuple[str, ...], state_of: Mapping[tuple[str, ...], int]) -> int:
    """The state of the longest ending of some words that is one."""
    while words not in state_of:
        words = words[1:]
    return state_of[words]
