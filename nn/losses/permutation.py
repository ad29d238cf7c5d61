"""Losses of speaker activities, whose outputs have no order: the best order of the reference counts.

Notation: B windows, T frames, S speakers, C classes of a powerset.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from nn.mask import frame_mask

MOST_LISTED = 4  # speakers whose orders are all tried


def permutation_free_bce(logits: Tensor, target: Tensor, lengths: Tensor) -> Tensor:
    """Binary cross-entropy of the best order of speakers, mean over frames and speakers: (B,).

    Fujita et al., "End-to-end neural speaker diarization with permutation-free objectives", 2019. Above four speakers
    the order is found by the Hungarian method.

    Args:
        logits: (B, T, S). target: (B, T, S), 0 or 1. lengths: (B,) frames.
    """
    mask = frame_mask(lengths, logits.shape[1])[..., None]
    frames = lengths.clamp_min(1)[:, None, None]
    logits = logits.float()
    # bce(x, y) = softplus(x) - x * y, summed over time: (B, output, speaker)
    cost = (F.softplus(logits) * mask).sum(1)[:, :, None] - torch.einsum("bto,bts->bos", logits * mask, target.float())
    return _least(cost / frames) / logits.shape[-1]


def permutation_free_powerset(
    logits: Tensor, target: Tensor, lengths: Tensor, classes: Sequence[Sequence[int]]
) -> Tensor:
    """Cross-entropy of the best order of speakers, where each class is a set of speakers: mean over frames, (B,).

    Plaquet and Bredin, "Powerset multi-class cross entropy loss for neural speaker diarization", 2023.

    Args:
        logits: (B, T, C). target: (B, T, S), 0 or 1; each row is one of the classes. lengths: (B,) frames.
        classes: the speakers of each class.
    """
    speakers = target.shape[-1]
    codes = [sum(2**speaker for speaker in own) for own in classes]
    number_of = target.new_zeros(2**speakers, dtype=torch.long)
    number_of[torch.tensor(codes, device=target.device)] = torch.arange(len(codes), device=target.device)
    powers = 2 ** torch.arange(speakers, device=target.device)
    right = F.one_hot(number_of[(target.long() * powers).sum(-1)], len(codes)).float()
    mask = frame_mask(lengths, logits.shape[1])[..., None]
    cost = -torch.einsum("btc,btd->bcd", logits.float().log_softmax(-1), right * mask)
    losses = []
    for order in itertools.permutations(range(speakers)):
        moved = [codes.index(sum(2 ** order[speaker] for speaker in own)) for own in classes]
        losses.append(cost[:, moved, range(len(classes))].sum(-1))
    return torch.stack(losses).amin(0) / lengths.clamp_min(1)


def _least(cost: Tensor) -> Tensor:
    """The least sum of a cost for each output and speaker, (B, S, S), over all orders of the speakers: (B,)."""
    speakers = cost.shape[-1]
    if speakers <= MOST_LISTED:
        orders = list(itertools.permutations(range(speakers)))
        return torch.stack([cost[:, range(speakers), order].sum(-1) for order in orders]).amin(0)
    from scipy.optimize import linear_sum_assignment

    best_orders = [linear_sum_assignment(own)[1].tolist() for own in cost.detach().cpu().numpy()]
    return torch.stack([own[range(speakers), order].sum() for own, order in zip(cost, best_orders)])
