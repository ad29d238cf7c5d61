"""The generalised end-to-end loss: utterances of a batch against its speakers.

Notation: B: batch, D: embedding size.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class GE2E(nn.Module):
    """Generalised end-to-end loss, softmax form: each utterance against the centroids of the batch's speakers.

    Wan et al., ICASSP 2018. An utterance is left out of its own speaker's centroid. If it is its speaker's only
    utterance in the batch, it has no such centroid: its loss is 0, and it is a centroid for the others. Batches need
    several utterances of each of several speakers: the batch sampler ``speakers``.

    Args:
        input_size: embedding size
        num_classes: number of training speakers
        scale: initial value of the learnt w of the paper
        offset: initial value of the learnt b of the paper
    """

    def __init__(self, input_size: int, num_classes: int, scale: float = 10.0, offset: float = -5.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(float(scale)))
        self.offset = nn.Parameter(torch.tensor(float(offset)))

    def forward(self, x: Tensor, label: Tensor, share: float = 1.0) -> Tensor:
        """x (B, D), label int64 (B,) -> losses (B,)."""
        with torch.autocast(x.device.type, enabled=False):
            x = F.normalize(x.float(), dim=-1)
            same = label.unsqueeze(1) == label  # (B, B)
            # column j is the speaker of utterance j; each speaker counts once, at its first utterance
            is_first = same.int().argmax(dim=1) == torch.arange(len(label), device=label.device)
            count = same.sum(dim=1)
            centroid = F.normalize(same.to(x.dtype) @ x, dim=-1)  # (B, D); the mean up to its length
            rest = F.normalize(same.to(x.dtype) @ x - x, dim=-1)  # without the utterance itself
            cosine = torch.where(same, (x * rest).sum(dim=-1, keepdim=True), x @ centroid.T)
            scores = self.scale.clamp_min(1e-6) * cosine + self.offset
            target = self.scale.clamp_min(1e-6) * (x * rest).sum(dim=-1) + self.offset
            losses = torch.logsumexp(scores.masked_fill(~is_first, -torch.inf), dim=1) - target
            return torch.where(count > 1, losses, torch.zeros_like(losses))
