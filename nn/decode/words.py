"""Scores of words in a search over tokens: a language model, a lexicon, hot words, and an addition for each word.

A hypothesis has a node of the lexicon, where its last word stands, and a state of the language model, which holds the
words before it. A word is scored when a token ends it, or when the text ends.

Notation: V tokens; nodes and states are int64 of any one shape.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nn.decode.lexicon import OUTSIDE, ROOT, Lexicon
from nn.decode.ngram import END, NgramModel

NEVER = -math.inf


@dataclass
class Words:
    """The words that tokens make.

    Args:
        separates: bool (V,), true for a token that stands between words, such as the space.
        begins: bool (V,), true for a token that begins a word.
    """

    separates: Tensor
    begins: Tensor


@dataclass
class Scoring:
    """Scores that are added to the log probability of the model.

    Args:
        words: how tokens make words; None: there are none, and nothing is added.
        lexicon: the known words.
        model: scores words; None: no language model.
        weight: of the language model.
        word_score: added for each word, against the bias to few words.
        bonus: added for each word of a number, float64 (number of words,); for hot words. None: nothing.
        closed: allow the words of the lexicon alone.
    """

    words: Words | None = None
    lexicon: Lexicon | None = None
    model: NgramModel | None = None
    weight: float = 0.0
    word_score: float = 0.0
    bonus: Tensor | None = None
    closed: bool = False

    def to(self, device: torch.device) -> Scoring:
        """Move the tensors to a device, in place."""
        if self.words is not None and self.words.begins.device != device:
            self.words = Words(self.words.separates.to(device), self.words.begins.to(device))
            self.bonus = None if self.bonus is None else self.bonus.to(device)
            for part in (self.lexicon, self.model):
                if part is not None:
                    part.to(device)
        return self

    @property
    def start(self) -> int:
        """The state of a sentence's beginning."""
        return self.model.start if self.model else 0

    def completed(self, node: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """The score that is added if the last word of each hypothesis is complete, float64, and the state after it."""
        nothing = torch.zeros(node.shape, dtype=torch.float64, device=node.device)
        if self.words is None or self.lexicon is None:
            return nothing, state
        word, has_word = self.lexicon.word[node], node != ROOT
        gain, after = nothing + self.word_score, state
        if self.model is not None:
            known = torch.where(word < len(self.model.words), word, self.model.unknown)  # a hot word may be new
            score, after = self.model.score(state, known)
            gain = gain + score * self.weight
        if self.bonus is not None:
            gain = gain + self.bonus[word]
        if self.closed:
            gain = torch.where(self.lexicon.is_word[node], gain, NEVER)
        return torch.where(has_word, gain, 0.0), torch.where(has_word, after, state)

    def ended(self, node: Tensor, state: Tensor) -> Tensor:
        """The score that is added if the text of each hypothesis is complete, float64."""
        gain, state = self.completed(node, state)
        if self.model is None:
            return gain
        end, _ = self.model.score(state, torch.full_like(state, self.model.words[END]))
        return gain + end * self.weight

    def ends_word(self, vocabulary: int, device: torch.device) -> Tensor:
        """True for tokens that end the word before them: bool (V,)."""
        if self.words is None:
            return torch.zeros(vocabulary, dtype=torch.bool, device=device)
        return self.words.separates | self.words.begins

    def moved(self, node: Tensor, token: Tensor) -> Tensor:
        """The node of the lexicon after a token: that of its word."""
        if self.words is None or self.lexicon is None:
            return node
        start = torch.where(self.words.begins[token], ROOT, node)
        return torch.where(self.words.separates[token], ROOT, self.lexicon.move(start, token))

    def forbidden(self, node: Tensor, vocabulary: int) -> Tensor:
        """True for tokens with which a hypothesis leaves a closed lexicon: node (...,) -> bool (..., V)."""
        nodes = node[..., None].expand(*node.shape, vocabulary)
        if not self.closed or self.words is None or self.lexicon is None:
            return torch.zeros_like(nodes, dtype=torch.bool)
        return self.moved(nodes, torch.arange(vocabulary, device=node.device).expand_as(nodes)) == OUTSIDE
