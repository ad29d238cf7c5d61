"""Losses that train speaker embeddings. All are computed in float32, whatever the embeddings are.

Every loss is a module ``loss(x (B, D), label (B,), share=1.0) -> losses (B,)``, one a training utterance, built with
``input_size`` (D) and ``num_classes`` (C) first; ``share`` in [0, 1] is the part of its margin that is in force.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LOSSES = {
    "softmax": "nn.losses:Softmax",
    "amsoftmax": "nn.losses:AMSoftmax",
    "aamsoftmax": "nn.losses:AAMSoftmax",
    "ge2e": "nn.losses:GE2E",
}


class Softmax(nn.Module):
    """Cross-entropy over the training speakers after one linear layer.

    Args:
        input_size: size of an embedding
        num_classes: training speakers
    """

    def __init__(self, input_size: int, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(input_size, num_classes)

    def forward(self, x: Tensor, label: Tensor, share: float = 1.0) -> Tensor:
        """x (B, D), label int64 (B,) -> losses (B,)."""
        return F.cross_entropy(self.linear(x).float(), label, reduction="none")


class AMSoftmax(nn.Module):
    """Additive margin softmax: scale * (cos - margin) for the true speaker, scale * cos for the others.

    Wang et al., "Additive margin softmax for face verification", 2018. With ``subcentres`` each speaker has several
    centres, the nearest of which counts (Deng et al., "Sub-center ArcFace", ECCV 2020): noisy labels gather around one
    of their own.

    Args:
        input_size: size of an embedding
        num_classes: training speakers
        margin: taken from the cosine of the true speaker
        scale: what cosines are multiplied by
        subcentres: centres of each speaker
    """

    def __init__(
        self, input_size: int, num_classes: int, margin: float = 0.4, scale: float = 30.0, subcentres: int = 1
    ) -> None:
        super().__init__()
        if not 0 <= margin < math.pi / 2 or scale <= 0 or subcentres < 1:
            raise ValueError(
                f"margin is {margin}, scale {scale}, subcentres {subcentres}: expected a margin from 0 to pi / 2, a "
                "positive scale and at least 1 centre"
            )
        self.margin, self.scale, self.subcentres = margin, scale, subcentres
        self.weight = nn.Parameter(torch.empty(num_classes * subcentres, input_size))
        nn.init.xavier_normal_(self.weight)

    def forward(self, x: Tensor, label: Tensor, share: float = 1.0) -> Tensor:
        """x (B, D), label int64 (B,) -> losses (B,)."""
        cosine = F.linear(F.normalize(x.float(), dim=-1), F.normalize(self.weight.float(), dim=-1))
        cosine = cosine.unflatten(-1, (-1, self.subcentres)).amax(dim=-1)
        own = cosine.gather(1, label.unsqueeze(1))
        cosine = cosine.scatter(1, label.unsqueeze(1), self._with_margin(own, share * self.margin))
        return F.cross_entropy(self.scale * cosine, label, reduction="none")

    @staticmethod
    def _with_margin(cosine: Tensor, margin: float) -> Tensor:
        return cosine - margin


class AAMSoftmax(AMSoftmax):
    """Additive angular margin softmax: scale * cos(angle + margin) for the true speaker.

    Deng et al., "ArcFace", CVPR 2019. Past an angle of pi - margin, where cos(angle + margin) would rise again, it is
    cos(angle) - margin * sin(margin), which goes on falling.

    Args:
        input_size: size of an embedding
        num_classes: training speakers
        margin: added to the angle of the true speaker, in radians
        scale: what cosines are multiplied by
        subcentres: centres of each speaker
    """

    def __init__(
        self, input_size: int, num_classes: int, margin: float = 0.2, scale: float = 30.0, subcentres: int = 1
    ) -> None:
        super().__init__(input_size, num_classes, margin, scale, subcentres)

    @staticmethod
    def _with_margin(cosine: Tensor, margin: float) -> Tensor:
        sine = (1 - cosine.square()).clamp_min(1e-12).sqrt()  # the root of zero has no gradient
        turned = cosine * math.cos(margin) - sine * math.sin(margin)
        return torch.where(cosine > -math.cos(margin), turned, cosine - margin * math.sin(margin))


class GE2E(nn.Module):
    """Generalised end-to-end loss, softmax form: each utterance against the centroids of the batch's speakers.

    Wan et al., ICASSP 2018. An utterance is left out of its own speaker's centroid. One that is its speaker's only one
    in the batch has no such centroid: its loss is 0, and it serves the others as a centroid. Batches of several
    utterances of each of several speakers are needed: ``build_batch_sampler.train.per_speaker``.

    Args:
        input_size: size of an embedding
        num_classes: training speakers
        scale: w of the paper at the start, learnt from there
        offset: b of the paper at the start, learnt from there
    """

    def __init__(self, input_size: int, num_classes: int, scale: float = 10.0, offset: float = -5.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(float(scale)))
        self.offset = nn.Parameter(torch.tensor(float(offset)))

    def forward(self, x: Tensor, label: Tensor, share: float = 1.0) -> Tensor:
        """x (B, D), label int64 (B,) -> losses (B,)."""
        x = F.normalize(x.float(), dim=-1)
        same = label.unsqueeze(1) == label  # (B, B)
        # column j stands for the speaker of utterance j; each speaker counts once, at its first utterance
        first = same.int().argmax(dim=1) == torch.arange(len(label), device=label.device)
        count = same.sum(dim=1)
        centroid = F.normalize(same.to(x.dtype) @ x, dim=-1)  # (B, D); a mean up to its length
        rest = F.normalize(same.to(x.dtype) @ x - x, dim=-1)
        cosine = torch.where(same, (x * rest).sum(dim=-1, keepdim=True), x @ centroid.T)
        scores = self.scale.clamp_min(1e-6) * cosine + self.offset
        own = self.scale.clamp_min(1e-6) * (x * rest).sum(dim=-1) + self.offset
        losses = torch.logsumexp(scores.masked_fill(~first, -torch.inf), dim=1) - own
        return torch.where(count > 1, losses, torch.zeros_like(losses))
