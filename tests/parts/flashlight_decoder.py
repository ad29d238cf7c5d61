"""flashlight's decoder in C++ and our beam search over the same outputs, by the same conventions.

flashlight keeps prefixes that end in the blank and in a token apart, so that its beam is wider for the same prefixes.
It takes a space in the first frame for one that it imagines before the text: the outputs get a first frame that is
blank. With a lexicon, its words end with the space that follows them, and further spaces change nothing: the outputs
get a last frame that is a space, and our texts of the same words are added up. Both add probabilities (log-add).

Each leaves out what its beam has dropped, so that its score is below the exact one of the text; the wider the beams,
the nearer.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from flashlight.lib.text import decoder as flashlight
from torch import Tensor

from nn.decode.beam import ctc_beam_search
from nn.decode.lexicon import Lexicon
from nn.decode.ngram import END, NgramModel
from nn.decode.words import Scoring, Words

NOT_LIMITED = 1e9
OUT = -1e3
"""The log probability of what the frames that are added are not."""


def decoded(decoder: flashlight.LexiconFreeDecoder | flashlight.LexiconDecoder, log_probs: Tensor):
    """flashlight's best hypothesis."""
    log_probs = log_probs.contiguous()
    return decoder.decode(log_probs.data_ptr(), *log_probs.shape)[0]


def frame_of(token: int, vocabulary: int) -> Tensor:
    """Log probabilities (1, V) of a frame that is one token."""
    return torch.where(torch.arange(vocabulary) == token, 0.0, OUT)[None]


class LetterSearch:
    """Search without a language model.

    Args:
        symbols: the text of each token; the first is the blank.
    """

    def __init__(self, symbols: Sequence[str]):
        self.symbols, self.model = list(symbols), flashlight.ZeroLM()

    def theirs(self, log_probs: Tensor, beam: int) -> tuple[list[int], float]:
        """The best tokens of outputs (T, V), and their score."""
        options = flashlight.LexiconFreeDecoderOptions(
            beam_size=beam,
            beam_size_token=len(self.symbols),
            beam_threshold=NOT_LIMITED,
            lm_weight=0.0,
            sil_score=0.0,
            log_add=True,
            criterion_type=flashlight.CriterionType.CTC,
        )
        decoder = flashlight.LexiconFreeDecoder(options, self.model, self.symbols.index(" "), 0, [])
        best = decoded(decoder, torch.cat([frame_of(0, len(self.symbols)), log_probs]))
        path = [token for token, _ in itertools.groupby(best.tokens[1:-1])]  # without its own begin and end
        return [token for token in path if token != 0], best.score

    def ours(self, log_probs: Tensor, beam: int) -> tuple[list[int], float]:
        """The same by our search."""
        log_probs = torch.cat([frame_of(0, len(self.symbols)), log_probs])
        best = ctc_beam_search(log_probs[None], torch.tensor([len(log_probs)]), beam)[0][0]
        return best.tokens, best.score


class Ngrams(flashlight.LM):
    """Our n-gram model for flashlight's search. A state is a history of words, and none equals another."""

    def __init__(self, model: NgramModel):
        super().__init__()
        self.model = model
        self.states: dict = {}

    def start(self, start_with_nothing):
        state = flashlight.LMState()
        self.states[state] = torch.tensor([self.model.start]), 0.0
        return state

    def score(self, state, number):
        after = state.child(number)
        if after not in self.states:
            value, own = self.model.score(self.states[state][0], torch.tensor([number]))
            self.states[after] = own, float(value)
        return after, self.states[after][1]

    def finish(self, state):
        return self.score(state, self.model.words[END])


class WordSearch:
    """Search with an n-gram model, and its words alone.

    Args:
        model: the words and their scores.
        symbols: the text of each token; the first is the blank.
        weight, word_score: as of the decoder.
    """

    def __init__(self, model: NgramModel, symbols: Sequence[str], weight: float, word_score: float):
        self.model, self.symbols, self.weight, self.word_score = model, list(symbols), weight, word_score
        self.words = {word: number for word, number in model.words.items() if not word.startswith("<")}
        self.space = self.symbols.index(" ")
        self.trie = flashlight.Trie(len(self.symbols), self.space)
        for word, number in self.words.items():
            if set(word) <= set(self.symbols):
                self.trie.insert([*(self.symbols.index(letter) for letter in word), self.space], number, 0.0)
        is_space = torch.arange(len(self.symbols)) == self.space
        texts = [None, None, *("" if symbol == " " else symbol for symbol in self.symbols[2:])]
        self.scoring = Scoring(
            Words(is_space, torch.zeros_like(is_space)),
            Lexicon(self.words, texts, model.unknown),
            model,
            weight=weight,
            word_score=word_score,
            closed=True,
        )

    def _framed(self, log_probs: Tensor) -> Tensor:
        size = len(self.symbols)
        return torch.cat([frame_of(0, size), log_probs, frame_of(self.space, size)])

    def theirs(self, log_probs: Tensor, beam: int) -> tuple[tuple[str, ...], float]:
        """The best words of outputs (T, V), and their score."""
        options = flashlight.LexiconDecoderOptions(
            beam_size=beam,
            beam_size_token=len(self.symbols),
            beam_threshold=NOT_LIMITED,
            lm_weight=self.weight,
            word_score=self.word_score,
            unk_score=-math.inf,
            sil_score=0.0,
            log_add=True,
            criterion_type=flashlight.CriterionType.CTC,
        )
        ngrams = Ngrams(self.model)
        decoder = flashlight.LexiconDecoder(options, self.trie, ngrams, self.space, 0, -1, [], False)
        best = decoded(decoder, self._framed(log_probs))
        by_number = {number: word for word, number in self.words.items()}
        return tuple(by_number[number] for number in best.words if number in by_number), best.score

    def ours(self, log_probs: Tensor, beam: int) -> tuple[tuple[str, ...], float]:
        """The same by our search."""
        log_probs = self._framed(log_probs)
        scores: dict[tuple[str, ...], list[float]] = {}
        for one in ctc_beam_search(log_probs[None], torch.tensor([len(log_probs)]), beam, self.scoring)[0]:
            words = tuple("".join(self.symbols[token] for token in one.tokens).split())
            scores.setdefault(words, []).append(one.score)
        totals = {words: torch.tensor(own, dtype=torch.float64).logsumexp(0).item() for words, own in scores.items()}
        best = max(totals, key=totals.__getitem__)
        return best, totals[best]
