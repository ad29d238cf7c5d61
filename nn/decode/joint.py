"""Beam search by an attention decoder and CTC together, batched, with a language model over words.

Watanabe et al., "Hybrid CTC/attention architecture for end-to-end speech recognition", 2017, section IV-C: hypotheses
grow by one token at a time, and each is scored by the decoder and by the probability that CTC gives to all texts that
begin with it. So CTC forbids what the decoder repeats or leaves out.

Notation: B utterances, T frames, V tokens, K hypotheses.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor

from nn.decode.beam import Hypothesis
from nn.decode.ctc_prefix import CTCPrefixes
from nn.decode.words import Scoring

NEVER = -math.inf
END = 0
"""The token that begins and ends a text, for the decoder; it is CTC's blank."""


class NextTokens(Protocol):
    """K hypotheses of each utterance, and the log probabilities of what follows (``nn.transformer_decoder``)."""

    def step(self, parents: Tensor, tokens: Tensor) -> Tensor: ...


@torch.no_grad()
def joint_beam_search(
    decoder: NextTokens,
    log_probs: Tensor,
    lens: Tensor,
    *,
    beam: int = 16,
    ctc_weight: float = 0.4,
    length_norm: float = 1.0,
    nbest: int = 1,
    scoring: Scoring | None = None,
) -> list[list[Hypothesis]]:
    """The best hypotheses of each utterance, the best first.

    The score of a text of N tokens is that of the decoder and of CTC by their weights, and what ``scoring`` adds,
    divided by (N + 1) to the power of ``length_norm``. A text has no more tokens than its utterance has frames. The
    search of an utterance ends when no hypothesis can become better than the ``nbest`` texts that are complete, unless
    by hot words or a ``word_score`` still to come.

    Args:
        decoder: of K hypotheses.
        log_probs: (B, T, V), CTC's, normalised.
        lens: int64 (B,), frames of each utterance.
        beam: K, hypotheses that are kept after each token.
        ctc_weight: weight of CTC, in [0, 1]; the rest is the decoder's.
        length_norm: 0: long texts are less likely than short ones; 1: scores are means over the tokens.
        nbest: texts that are looked for; others that are complete by then follow them, up to ``beam`` in all.
        scoring: the language model and what else is added; None: nothing.

    Returns:
        At most ``nbest`` or ``beam`` hypotheses for each utterance, whichever is more.
    """
    search = _Search(decoder, log_probs, lens.to(log_probs.device), beam=beam, scoring=scoring or Scoring())
    search.ctc_weight, search.length_norm, search.nbest = ctc_weight, length_norm, nbest
    for length in range((int(lens.max()) if len(lens) else -1) + 1):
        search.step(length)
        if not search.is_alive.any():
            break
    return search.complete()


class _Search:
    """The hypotheses of a batch after some tokens: tensors (B, K)."""

    ctc_weight: float
    length_norm: float
    nbest: int

    def __init__(self, decoder: NextTokens, log_probs: Tensor, lens: Tensor, *, beam: int, scoring: Scoring):
        self.decoder, self.lens, self.beam, self.scoring = decoder, lens, beam, scoring
        size, device = (len(log_probs), beam), log_probs.device
        self.vocabulary = log_probs.shape[-1]
        self.prefixes = CTCPrefixes(log_probs, lens, beam, END)
        self.ends_word = scoring.ends_word(self.vocabulary, device)
        self.is_alive = torch.zeros(size, dtype=torch.bool, device=device)
        self.is_alive[:, 0] = True
        self.parents = torch.zeros(size, dtype=torch.int64, device=device)
        self.tokens = self.parents.new_zeros(*size, 0)
        self.attended = torch.zeros(size, dtype=torch.float64, device=device)  # the decoder's log probability
        self.added = torch.zeros_like(self.attended)  # by the language model and the word score
        self.node, self.state = torch.zeros_like(self.parents), torch.full_like(self.parents, scoring.start)
        self.scores = self.attended.new_empty(size[0], 0)  # of complete texts, (B, up to kept), the best first
        self.texts = self.parents.new_empty(size[0], 0, 0)  # their tokens, filled with END

    def step(self, length: int) -> None:
        """Complete each hypothesis of ``length`` tokens, and extend it by one token."""
        last = self.tokens[..., -1] if length else torch.full_like(self.parents, END)
        following = self.decoder.step(self.parents, last).double()
        begun, whole = self.prefixes.scores() if self.ctc_weight else (None, None)
        following = self.attended[..., None] + following
        ended = self._weighted(following[..., END], whole) + self.added + self.scoring.ended(self.node, self.state)
        self._keep(ended.masked_fill(~self.is_alive, NEVER), length)

        gain, state = self.scoring.completed(self.node, self.state)
        added = self.added[..., None] + torch.where(self.ends_word, gain[..., None], 0.0)
        total = self._weighted(following, begun) + added
        is_barred = self.scoring.forbidden(self.node, self.vocabulary) | ~self.is_alive[..., None]
        is_barred |= (length >= self.lens)[:, None, None]
        is_barred[..., END] = True
        order = total.masked_fill(is_barred, NEVER).flatten(1).sort(dim=1, descending=True, stable=True)
        chosen, best = order.indices[:, : self.beam], order.values[:, : self.beam]
        self._extend(chosen, attended=following, added=added, state=state)
        self.is_alive = (best > NEVER) & self._may_win(best, length)

    def _weighted(self, attended: Tensor, ctc: Tensor | None) -> Tensor:
        """The decoder's and CTC's log probabilities together; what has no weight may be infinite."""
        if ctc is None or self.ctc_weight == 0:
            return attended
        return ctc if self.ctc_weight == 1 else (1 - self.ctc_weight) * attended + self.ctc_weight * ctc

    def _keep(self, scores: Tensor, length: int) -> None:
        """Add texts of ``length`` tokens to those that are complete, and keep the best."""
        texts = torch.nn.functional.pad(self.texts, (0, length - self.texts.shape[2]), value=END)
        scores = torch.cat([self.scores, scores / (length + 1) ** self.length_norm], dim=1)
        order = scores.sort(dim=1, descending=True, stable=True)
        kept = max(self.nbest, self.beam)
        places = order.indices[:, :kept]
        self.scores = order.values[:, :kept]
        self.texts = torch.cat([texts, self.tokens], dim=1).gather(1, places[..., None].expand(-1, -1, length))

    def _extend(self, chosen: Tensor, *, attended: Tensor, added: Tensor, state: Tensor) -> None:
        """Replace the hypotheses by the chosen ones of their V extensions each."""
        self.parents, token = chosen // self.vocabulary, chosen % self.vocabulary
        self.prefixes.step(self.parents, token)
        self.attended, self.added = (own.flatten(1).gather(1, chosen) for own in (attended, added))
        before = self.parents[..., None].expand(-1, -1, self.tokens.shape[2])
        self.tokens = torch.cat([self.tokens.gather(1, before), token[..., None]], dim=2)
        state, same = state.gather(1, self.parents), self.state.gather(1, self.parents)
        self.state = torch.where(self.ends_word[token], state, same)
        self.node = self.scoring.moved(self.node.gather(1, self.parents), token)

    def _may_win(self, scores: Tensor, length: int) -> Tensor:
        """True for each utterance, one of whose hypotheses may become better than its complete texts: bool (B, 1)."""
        if self.scores.shape[1] < self.nbest:
            return torch.ones_like(self.is_alive[:, :1])
        shortest, longest = length + 2, (self.lens + 1).clamp(min=length + 2)
        high = scores[:, :1]
        bound = torch.where(high > 0, high / shortest**self.length_norm, high / longest[:, None] ** self.length_norm)
        return bound > self.scores[:, self.nbest - 1, None]

    def complete(self) -> list[list[Hypothesis]]:
        """The complete texts."""
        pairs = zip(self.texts.tolist(), self.scores.tolist())
        return [
            [Hypothesis([t for t in text if t != END], score) for text, score in zip(*own) if score > NEVER]
            for own in pairs
        ]
