"""The probability that a text begins with given tokens, by CTC (Watanabe et al., "Hybrid CTC/attention", 2017).

Their algorithm 2 goes through the frames one by one, for every candidate. Here the sum over frames that scores all
candidates is a matrix product, and the recursion, which only chosen candidates need, a cumulative sum.

Notation: B utterances, T frames, V tokens, K hypotheses of an utterance.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nn.mask import frame_mask

NEVER = -math.inf


class CTCPrefixes:
    """K prefixes of each utterance, which grow by one token at a time; at first each is empty.

    Args:
        log_probs: (B, T, V), normalised.
        lens: int64 (B,), frames of each utterance.
        beam: K
        blank: the index of CTC's blank.
    """

    def __init__(self, log_probs: Tensor, lens: Tensor, beam: int, blank: int = 0) -> None:
        if log_probs.shape[1] == 0:
            log_probs = torch.nn.functional.pad(log_probs, (0, 0, 0, 1))
        batch, frames, _ = log_probs.shape
        self.blank, self.lens = blank, lens.to(log_probs.device)
        self.inside = frame_mask(self.lens, frames)
        log_probs = log_probs.double().masked_fill(~self.inside[..., None], 0.0)
        self.probs = log_probs.exp()
        # of all frames before each place; place 0 is before the first frame
        self.sums = torch.nn.functional.pad(log_probs.cumsum(dim=1), (0, 0, 1, 0))
        empty = self.sums[:, None, :, blank].expand(batch, beam, frames + 1)
        # (B, K, T + 1): log probability that the frames before a place give the prefix, by its paths' last symbol
        self.ends_in_blank = empty.clone()
        self.ends_in_token = torch.full_like(empty, NEVER)
        self.last = torch.full((batch, beam), blank, dtype=torch.int64, device=log_probs.device)

    def scores(self) -> tuple[Tensor, Tensor]:
        """Log probabilities, each a sum over paths.

        Returns:
            float64 (B, K, V), that the text begins with a prefix and a further token (that of the blank is NEVER); and
            float64 (B, K), that the text is the prefix.
        """
        either = torch.logaddexp(self.ends_in_blank, self.ends_in_token)
        # a repeated token is a new one only after a blank
        of_last = self.probs.gather(2, self.last[:, None].expand(-1, self.probs.shape[1], -1))
        repeated = self._summed(self.ends_in_blank[:, :, None], of_last.transpose(1, 2)[..., None])
        longer = self._summed(either, self.probs).scatter(2, self.last[..., None], repeated[..., 0])
        longer[..., self.blank] = NEVER
        place = self.lens[:, None, None].expand(-1, either.shape[1], 1)
        return longer, either.gather(2, place)[..., 0]

    def _summed(self, before: Tensor, probs: Tensor) -> Tensor:
        """Log probabilities (..., M, N): the sum over frames of what is before a frame, and its own probabilities.

        before: log, (..., M, T + 1). probs: (..., T, N).
        """
        inside = self.inside.unflatten(0, (-1, *[1] * (before.ndim - 2)))
        before = before[..., :-1].masked_fill(~inside, NEVER)
        high = before.amax(dim=-1, keepdim=True)
        high = torch.where(high == NEVER, 0.0, high)
        return ((before - high).exp() @ probs).log() + high

    def step(self, parents: Tensor, tokens: Tensor) -> None:
        """Replace the prefixes by extensions of some of them.

        Args:
            parents: int64 (B, K), the prefix that each extends. tokens: int64 (B, K), by which; not the blank.
        """
        place = parents[..., None].expand_as(self.ends_in_blank)
        in_blank, in_token = self.ends_in_blank.gather(1, place), self.ends_in_token.gather(1, place)
        is_repeated = (self.last.gather(1, parents) == tokens)[..., None]
        before = torch.where(is_repeated, in_blank, torch.logaddexp(in_blank, in_token))
        sums = self.sums.gather(2, tokens[:, None].expand(-1, self.sums.shape[1], -1)).transpose(1, 2)
        self.ends_in_token = _recursion(before, sums)
        self.ends_in_blank = _recursion(self.ends_in_token, self.sums[:, None, :, self.blank])
        self.last = tokens


def _recursion(before: Tensor, sums: Tensor) -> Tensor:
    """r[t] = log(exp(r[t - 1]) + exp(before[t - 1])) + log p[t], and r[0] = NEVER; ``sums`` are those of log p.

    before, sums: (..., T + 1).
    """
    entered = torch.logcumsumexp(before[..., :-1] - sums[..., :-1], dim=-1) + sums[..., 1:]
    return torch.nn.functional.pad(entered, (1, 0), value=NEVER)
