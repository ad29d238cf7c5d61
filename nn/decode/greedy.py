"""Best-path decoding of CTC outputs (Graves et al. 2006, section 3.2)."""

from __future__ import annotations

from itertools import islice

import torch
from torch import Tensor


def ctc_greedy(logits: Tensor, lens: Tensor, blank: int = 0) -> list[list[int]]:
    """The most likely token of each true frame, with repeats merged and blanks removed.

    Args:
        logits: (B, T, V), logits or log probabilities.
        lens: (B,) int64, frames of each item.
        blank: the index of CTC's blank.

    Returns:
        a list of token indices for each item. The result is copied to the host once.
    """
    best = logits.argmax(dim=-1)
    previous = torch.nn.functional.pad(best[:, :-1], (1, 0), value=blank)
    step = torch.arange(best.shape[1], device=best.device)
    is_inside = step < lens.to(best.device, non_blocking=True).unsqueeze(1)
    is_token = is_inside & (best != blank) & (best != previous)
    tokens = best.masked_fill(~is_token, -1).cpu()
    is_token = tokens >= 0
    flat = iter(tokens[is_token].tolist())
    return [list(islice(flat, count)) for count in is_token.sum(dim=1).tolist()]
