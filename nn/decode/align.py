"""Align tokens with the frames of CTC outputs: the likeliest path that gives them, by torchaudio."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor


def token_frames(log_probs: Tensor, tokens: Sequence[int], blank: int = 0) -> list[tuple[int, int]] | None:
    """The first and the last frame of each token on the likeliest path.

    Args:
        log_probs: (T, V), normalised.
        tokens: none of them the blank.

    Returns:
        Two frames for each token; None if the frames are too few for the tokens.
    """
    repeats = sum(one == other for one, other in zip(tokens, tokens[1:]))
    if len(log_probs) < len(tokens) + repeats:
        return None
    if not tokens:
        return []
    from torchaudio.functional import forced_align, merge_tokens

    targets = torch.tensor([list(tokens)], dtype=torch.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchaudio's word of a coming removal, which its version bound keeps away
        path, scores = forced_align(log_probs.float().cpu()[None].contiguous(), targets, blank=blank)
        return [(span.start, span.end - 1) for span in merge_tokens(path[0], scores[0].exp(), blank=blank)]


def filled(frames: Sequence[tuple[int, int]], longest_gap: int) -> list[tuple[int, int]]:
    """The frames of tokens, each up to the next token, unless the gap between them is longer than ``longest_gap``.

    CTC marks the beginning of a token and then gives blanks, which are no pause.
    """
    following = [*(first for first, _ in frames[1:]), None]
    return [
        (first, last if later is None or later - last - 1 > longest_gap else later - 1)
        for (first, last), later in zip(frames, following)
    ]
