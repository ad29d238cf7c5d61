"""Prefix beam search for CTC, batched, with a language model over words.

Hannun et al., "First-pass large vocabulary continuous speech recognition using bi-directional recurrent DNNs", 2014. A
hypothesis is a prefix with the probability of all paths that lead to it. Written in plain tensors because decoders in
C++ give other results on other machines, and none runs on a GPU and a CPU alike.

The result of an utterance is the same to the bit whatever the batch: sums of probabilities are taken from a table,
since the exponential of a vector and that of its last elements may differ in the last bit.

Notation: B utterances, T frames, V tokens, K hypotheses.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nn.decode.words import Scoring

NEVER = -math.inf
STEPS, RANGE = 2048, 40  # of the table: error below 1e-8
MULTIPLIER, ADDEND = 6364136223846793005, 1442695040888963407  # of a linear congruential generator, for hashes


@dataclass
class Hypothesis:
    """A decoded utterance; score: its log probability and what was added."""

    tokens: list[int]
    score: float


@torch.no_grad()
def ctc_beam_search(
    log_probs: Tensor, lens: Tensor, beam: int = 16, scoring: Scoring | None = None, blank: int = 0
) -> list[list[Hypothesis]]:
    """The likeliest hypotheses of each utterance, the best first.

    Args:
        log_probs: (B, T, V), normalised.
        lens: (B,) int64, frames of each utterance.
        beam: K, hypotheses that are kept after each frame.
        scoring: the language model and what else is added; None: nothing.
        blank: the index of CTC's blank.

    Returns:
        At most K hypotheses for each utterance.
    """
    search = _Search(log_probs.double(), lens.to(log_probs.device), beam, scoring or Scoring(), blank)
    for frame in range(int(lens.max()) if len(lens) else 0):
        search.step(frame)
    return search.finish()


@functools.cache
def _table(device: torch.device) -> Tensor:
    """log(1 + exp(-x)) for x from 0 in steps of 1 / STEPS, float64."""
    x = torch.arange(RANGE * STEPS + 2, dtype=torch.float64) / STEPS
    return torch.log1p(torch.exp(-x)).to(device)


def log_add(a: Tensor, b: Tensor) -> Tensor:
    """log(exp(a) + exp(b)), float64, the same bits for the same numbers wherever they stand in a tensor."""
    table = _table(a.device)
    high, low = torch.maximum(a, b), torch.minimum(a, b)
    gap = torch.where(low == NEVER, float(RANGE), high - low).clamp(max=float(RANGE)) * STEPS
    place = gap.floor()
    index = place.long()
    first = table[index]
    return high + (first + (gap - place) * (table[index + 1] - first))


class _Search:
    """The hypotheses of a batch after some frames: tensors (B, K)."""

    def __init__(self, log_probs: Tensor, lens: Tensor, beam: int, scoring: Scoring, blank: int):
        self.log_probs, self.lens, self.scoring, self.blank = log_probs, lens, scoring, blank
        size, device = (len(log_probs), beam), log_probs.device
        self.beam, self.vocabulary = beam, log_probs.shape[-1]
        self.ends_word = scoring.ends_word(self.vocabulary, device)
        self.ends_in_blank = torch.full(size, NEVER, dtype=torch.float64, device=device)
        self.ends_in_token = torch.full(size, NEVER, dtype=torch.float64, device=device)
        self.ends_in_blank[:, 0] = 0.0
        whole = functools.partial(torch.zeros, size, dtype=torch.int64, device=device)
        self.last = whole().fill_(blank)
        self.key = whole() + torch.arange(beam, device=device)  # a hash of the prefix; unused slots differ
        self.parent_key = whole().fill_(-1)
        self.added = torch.zeros(size, dtype=torch.float64, device=device)  # by the language model and the word score
        self.state = whole().fill_(scoring.start)
        self.node = whole()
        self.history: list[tuple[Tensor, Tensor]] = []  # of each frame: the slot and the token that a slot came from

    def step(self, frame: int) -> None:
        """Extend all hypotheses by one frame."""
        p = self.log_probs[:, frame]
        total = log_add(self.ends_in_blank, self.ends_in_token)
        is_last = torch.nn.functional.one_hot(self.last, self.vocabulary).bool()
        # a repeated token is a new one only after a blank
        longer = torch.where(is_last, self.ends_in_blank[..., None], total[..., None]) + p[:, None]
        longer[..., self.blank] = NEVER
        same_in_blank = total + p[:, self.blank, None]
        same_in_token = self.ends_in_token + p.gather(1, self.last)
        same_in_token[self.last == self.blank] = NEVER
        longer, same_in_token = self._merged(longer, same_in_token)
        gain, state = self.scoring.completed(self.node, self.state)
        added = self.added[..., None] + torch.where(self.ends_word, gain[..., None], 0.0)
        longer = longer.masked_fill(self.scoring.forbidden(self.node, self.vocabulary), NEVER)
        ranks = torch.cat([log_add(same_in_blank, same_in_token) + self.added, (longer + added).flatten(1)], dim=1)
        chosen = ranks.sort(dim=1, descending=True, stable=True).indices[:, : self.beam]
        self._choose(
            frame,
            chosen,
            same_in_blank=same_in_blank,
            same_in_token=same_in_token,
            longer=longer,
            added=added,
            state=state,
        )

    def _merged(self, longer: Tensor, same_in_token: Tensor) -> tuple[Tensor, Tensor]:
        """Give the probability of extensions that are hypotheses already to these."""
        is_child = (self.parent_key[:, :, None] == self.key[:, None, :]) & (self.last != self.blank)[:, :, None]
        has_parent, parent = is_child.any(dim=2), is_child.int().argmax(dim=2)
        place = parent * self.vocabulary + self.last
        flat = longer.flatten(1)
        gained = torch.where(has_parent, flat.gather(1, place), NEVER)
        # slots without a parent point to the blank of slot 0, which is never extended
        flat = flat.scatter(1, torch.where(has_parent, place, self.blank), NEVER)
        return flat.view_as(longer), log_add(same_in_token, gained)

    def _choose(
        self,
        frame: int,
        chosen: Tensor,
        *,
        same_in_blank: Tensor,
        same_in_token: Tensor,
        longer: Tensor,
        added: Tensor,
        state: Tensor,
    ) -> None:
        """Keep the chosen candidates: first the K hypotheses as they are, then their V extensions each."""
        is_longer = chosen >= self.beam
        extension = (chosen - self.beam).clamp(min=0)
        slot = torch.where(is_longer, extension // self.vocabulary, chosen)
        token = torch.where(
            is_longer, extension % self.vocabulary, self.last.gather(1, chosen.clamp(max=self.beam - 1))
        )
        node, key = self.node.gather(1, slot), self.key.gather(1, slot)
        ends_word = is_longer & self.ends_word[token]
        new = {
            "ends_in_blank": torch.where(is_longer, NEVER, same_in_blank.gather(1, slot)),
            "ends_in_token": torch.where(
                is_longer, longer.flatten(1).gather(1, extension), same_in_token.gather(1, slot)
            ),
            "added": torch.where(is_longer, added.flatten(1).gather(1, extension), self.added.gather(1, slot)),
            "last": token,
            "key": torch.where(is_longer, key * MULTIPLIER + token * ADDEND + 1, key),
            "parent_key": torch.where(is_longer, key, self.parent_key.gather(1, slot)),
            "state": torch.where(ends_word, state.gather(1, slot), self.state.gather(1, slot)),
            "node": torch.where(is_longer, self.scoring.moved(node, token), node),
        }
        is_dead = log_add(new["ends_in_blank"], new["ends_in_token"]) + new["added"] == NEVER
        for name in ("ends_in_blank", "ends_in_token"):
            new[name] = torch.where(is_dead, NEVER, new[name])
        # so that it is not taken for a living hypothesis of the same tokens, or for its child
        new["last"] = torch.where(is_dead, self.blank, new["last"])
        new["key"] = torch.where(is_dead, -2 - torch.arange(self.beam, device=slot.device), new["key"])
        new["added"] = torch.where(is_dead, 0.0, new["added"])
        goes_on = (frame < self.lens)[:, None]
        for name, value in new.items():
            setattr(self, name, torch.where(goes_on, value, getattr(self, name)))
        same = torch.arange(self.beam, device=slot.device).expand_as(slot)
        self.history.append((torch.where(goes_on, slot, same), torch.where(goes_on & is_longer, token, -1)))

    def finish(self) -> list[list[Hypothesis]]:
        """Complete the last words and the sentences, and follow the hypotheses back."""
        total = log_add(self.ends_in_blank, self.ends_in_token) + self.added + self.scoring.ended(self.node, self.state)
        order = total.sort(dim=1, descending=True, stable=True).indices
        scores, slots = total.gather(1, order).cpu(), order.cpu()
        tokens: list[list[list[int]]] = [[[] for _ in range(self.beam)] for _ in range(len(scores))]
        for parent, token in ((p.cpu(), t.cpu()) for p, t in reversed(self.history)):
            emitted = token.gather(1, slots)
            for b, k in (emitted >= 0).nonzero().tolist():
                tokens[b][k].append(int(emitted[b, k]))
            slots = parent.gather(1, slots)
        return [
            [Hypothesis(own[k][::-1], float(scores[b, k])) for k in range(self.beam) if scores[b, k] > NEVER]
            for b, own in enumerate(tokens)
        ]
