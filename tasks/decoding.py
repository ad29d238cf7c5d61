"""Decode the outputs of a CTC model to text: the best path, or a beam search with a language model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from nn.decode.align import token_frames
from nn.decode.beam import Hypothesis, ctc_beam_search
from nn.decode.greedy import PathToken, ctc_best_path
from nn.decode.lexicon import Lexicon
from nn.decode.ngram import UNKNOWN, NgramModel
from nn.decode.words import Scoring, Words
from tasks.contracts import Vocabulary
from tasks.metrics.confidence import word_posteriors

SPACE = "▁"  # at the beginning of a piece that begins a word, as SentencePiece writes it
Ngrams = Mapping[tuple[str, ...], tuple[float, float]]


@dataclass
class DecodedWord:
    """A word: its first and its last frame, and its confidence in [0, 1]."""

    text: str
    first: int
    last: int
    confidence: float


@dataclass
class Decoded:
    """The text of an utterance, further texts with their scores, and the words of the first."""

    text: str
    nbest: list[tuple[str, float]] = field(default_factory=list)
    words: list[DecodedWord] = field(default_factory=list)


class CTCDecoder:
    """Decodes logits to text.

    Words have times, of the best path or, after a search, of the likeliest path of the best text; and a confidence in
    [0, 1]: the mean over the word's tokens of the highest probability that each has in one of its frames. After a
    search, it is multiplied by the word's posterior among the texts that the search has kept
    (:func:`tasks.metrics.confidence.word_posteriors`), since frames know nothing of a language model.

    Args:
        encoder: decodes token indices to text; has ``symbols`` for a search over words.
        name: greedy, or beam.
        beam: hypotheses that are kept after each frame.
        lm_weight: weight of the language model.
        word_score: added for each word.
        lexicon: allow the words of the language model and the hot words alone.
        hot_words: words to prefer.
        hot_word_score: added for each of them.
        nbest: texts that are kept for each utterance.
        ngrams: the language model; None: none.
    """

    names: tuple[str, ...] = ("greedy", "beam")

    def __init__(
        self,
        encoder: Vocabulary,
        name: str = "greedy",
        *,
        beam: int = 16,
        lm_weight: float = 0.5,
        word_score: float = 0.0,
        lexicon: bool = False,
        hot_words: Sequence[str] = (),
        hot_word_score: float = 2.0,
        nbest: int = 1,
        ngrams: Ngrams | None = None,
        blank: int = 0,
    ):
        if name not in self.names or beam < 1 or nbest < 1:
            raise ValueError(
                f"decode is {name!r} with beam {beam} and nbest {nbest}: expected one of {', '.join(self.names)}, and"
                " numbers from 1"
            )
        self.encoder, self.name, self.beam, self.nbest, self.blank = encoder, name, beam, nbest, blank
        self.scoring = Scoring()
        if name != "greedy" and (ngrams is not None or hot_words or word_score or lexicon):
            if lexicon and ngrams is None and not hot_words:
                raise ValueError("decode.lexicon allows known words alone, but there are none: set decode.lm")
            self.scoring = self._scoring(ngrams, hot_words, lm_weight, word_score, hot_word_score, lexicon)

    def _scoring(
        self,
        ngrams: Ngrams | None,
        hot_words: Sequence[str],
        weight: float,
        word_score: float,
        bonus: float,
        closed: bool,
    ) -> Scoring:
        symbols = list(getattr(self.encoder, "symbols", ()))
        if not symbols:
            raise ValueError(
                f"{type(self.encoder).__name__} has no attribute symbols, the text of each token, which a search over"
                " words needs"
            )
        model = NgramModel(ngrams) if ngrams is not None else None
        words = dict(model.words) if model else {UNKNOWN: 0}
        other = words[UNKNOWN]
        case = getattr(self.encoder, "case", "keep")
        cased = {"lower": str.lower, "upper": str.upper}.get(case, str)
        numbers = {cased(word): number for word, number in words.items() if not word.startswith("<")}
        bonuses = torch.zeros(len(words) + len(hot_words), dtype=torch.float64)
        for place, word in enumerate(hot_words):
            number = numbers.setdefault(cased(word), len(words) + place)
            bonuses[number] = bonus
        texts, separates, begins = zip(*(_role(symbol, self._is_of_words(symbols)) for symbol in symbols))
        return Scoring(
            words=Words(torch.tensor(separates), torch.tensor(begins)),
            lexicon=Lexicon(numbers, [None, None, *texts[2:]], other),
            model=model,
            weight=weight,
            word_score=word_score,
            bonus=bonuses if hot_words else None,
            closed=closed,
        )

    @property
    def is_search(self) -> bool:
        """True if texts are searched for, unlike the best path."""
        return self.name != "greedy"

    @staticmethod
    def _is_of_words(symbols: Sequence[str]) -> bool:
        """True if each symbol is a word: if none stands between words, and none marks a word's beginning."""
        return not any(symbol.isspace() or symbol.startswith(SPACE) for symbol in symbols)

    def __call__(self, logits: Tensor, lengths: Tensor) -> list[Decoded]:
        """Decode a batch.

        Args:
            logits: (B, T', V). lengths: (B,) frames.
        """
        if self.name == "greedy":
            return [self.of_path(path) for path in ctc_best_path(logits, lengths, blank=self.blank)]
        log_probs = torch.log_softmax(logits.float(), dim=-1)
        batch = ctc_beam_search(log_probs, lengths, self.beam, self.scoring.to(logits.device), self.blank)
        return [self._decoded(own, p[:n]) for own, p, n in zip(batch, log_probs, lengths.tolist())]

    def of_path(self, path: Sequence[PathToken]) -> Decoded:
        """The text and the words of a best path."""
        ids = [token.token for token in path]
        words = self._words(ids, path)
        return Decoded(self.encoder.decode(ids), words=words)

    def _decoded(self, found: Sequence[Hypothesis], log_probs: Tensor) -> Decoded:
        if not found:
            return Decoded("")
        texts = [(self.encoder.decode(hypothesis.tokens), hypothesis.score) for hypothesis in found]
        frames = token_frames(log_probs, found[0].tokens, self.blank)
        words = [] if frames is None else self._words(found[0].tokens, _path(found[0].tokens, frames, log_probs))
        splits = [[word.text for word in words], *(text.split() for text, _ in texts[1:])]
        posteriors = word_posteriors(list(zip(splits, map(self._log_share, found))))
        words = [replace(word, confidence=word.confidence * own) for word, own in zip(words, posteriors)]
        return Decoded(texts[0][0], texts[: self.nbest], words)

    def _log_share(self, hypothesis: Hypothesis) -> float:
        """The log probability of a hypothesis and what was added, up to a constant."""
        return hypothesis.score

    def _words(self, tokens: Sequence[int], path: Sequence[PathToken]) -> list[DecodedWord]:
        """The words of some tokens, whose frames and probabilities are those of ``path``."""
        symbols = getattr(self.encoder, "symbols", None)
        if symbols is None:
            return []
        each = self._is_of_words(symbols)
        groups: list[list[tuple[int, PathToken]]] = []
        is_open = False
        for token, span in zip(tokens, path):
            _, separates, begins = _role(symbols[token], each)
            if not separates and (begins or not is_open):
                groups.append([])
            is_open = not separates
            if is_open:
                groups[-1].append((token, span))
        return [
            DecodedWord(
                self.encoder.decode([token for token, _ in group]),
                group[0][1].first,
                group[-1][1].last,
                math.fsum(span.probability for _, span in group) / len(group),
            )
            for group in groups
        ]


def _path(tokens: Sequence[int], frames: Sequence[tuple[int, int]], log_probs: Tensor) -> list[PathToken]:
    """Tokens with their frames and probabilities."""
    pairs = zip(tokens, frames)
    return [PathToken(t, *span, float(log_probs[span[0] : span[1] + 1, t].max().exp())) for t, span in pairs]


def _role(symbol: str, each: bool) -> tuple[str, bool, bool]:
    """The text of a symbol inside a word; whether it stands between words; whether it begins one."""
    if symbol.isspace() or symbol == SPACE:
        return "", True, False
    return symbol.removeprefix(SPACE), False, each or symbol.startswith(SPACE)
