"""Best-path decoding of CTC outputs (Graves et al. 2006, section 3.2)."""

from __future__ import annotations

from itertools import islice

import torch
from torch import Tensor


def ctc_greedy(logits: Tensor, lens: Tensor, blank: int = 0) -> list[list[int]]:
    """The most likely token of each frame, repeats merged, blanks removed, inside each true length only.

    Args:
        logits: (B, T, V), logits or log probabilities.
        lens: (B,) int64, frames of each item.
        blank: the index of CTC's blank.

    Returns:
        one list of token indices an item. The result crosses from the device to the host once.
    """
    best = logits.argmax(dim=-1)
    previous = torch.nn.functional.pad(best[:, :-1], (1, 0), value=blank)
    step = torch.arange(best.shape[1], device=best.device)
    inside = step < lens.to(best.device, non_blocking=True).unsqueeze(1)
    keep = inside & (best != blank) & (best != previous)
    kept = best.masked_fill(~keep, -1).cpu()
    keep = kept >= 0
    tokens = iter(kept[keep].tolist())
    return [list(islice(tokens, count)) for count in keep.sum(dim=1).tolist()]
