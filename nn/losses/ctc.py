"""The CTC loss of each utterance, by torch (Graves et al., "Connectionist Temporal Classification", ICML 2006)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def ctc_losses(
    logits: Tensor, lengths: Tensor, tokens: Tensor, tokens_len: Tensor, blank: int = 0
) -> tuple[Tensor, Tensor]:
    """The negative log likelihood of each utterance divided by its target length (by 1 for an empty target).

    Args:
        logits: (B, T', V), any precision; normalised in float32.
        lengths: (B,) frames. tokens: int64 (B, S). tokens_len: (B,) labels.

    Returns:
        losses: float32 (B,), 0 if an utterance has no alignment; too_short: bool (B,), true for these.
    """
    lengths, tokens_len = lengths.to(tokens.device), tokens_len.to(tokens.device)
    log_probs = F.log_softmax(logits.float(), dim=-1).transpose(0, 1)
    if log_probs.shape[0] == 0:  # torch needs storage for one frame even if every length is 0
        log_probs = F.pad(log_probs, (0, 0, 0, 0, 0, 1))
    values = log_probs, tokens, lengths, tokens_len
    if log_probs.is_cuda and torch.are_deterministic_algorithms_enabled():
        values = tuple(value.cpu() for value in values)  # torch's kernel for GPUs is not deterministic
    nll = F.ctc_loss(*values, blank=blank, reduction="none", zero_infinity=True).to(tokens.device)
    # equal neighbours need a blank between them, one frame more
    positions = torch.arange(tokens.shape[1], device=tokens.device)[1:]
    repeats = (tokens[:, 1:] == tokens[:, :-1]) & (positions < tokens_len[:, None])
    too_short = lengths < (tokens_len + repeats.sum(dim=1)).clamp(min=1)
    losses = nll / tokens_len.clamp(min=1)
    return torch.where(too_short, torch.zeros_like(losses), losses), too_short
