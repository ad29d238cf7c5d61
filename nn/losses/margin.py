"""Cross-entropy over the training speakers, with or without a margin.

Notation: B: batch, D: embedding size.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Softmax(nn.Module):
    """Cross-entropy over the training speakers after one linear layer.

    Args:
        input_size: embedding size
        num_classes: number of training speakers
    """

    def __init__(self, input_size: int, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(input_size, num_classes)

    def forward(self, x: Tensor, label: Tensor, share: float = 1.0) -> Tensor:
        """x (B, D), label int64 (B,) -> losses (B,)."""
        with torch.autocast(x.device.type, enabled=False):
            return F.cross_entropy(self.linear(x.float()), label, reduction="none")


class AMSoftmax(nn.Module):
    """Additive margin softmax: scale * (cos - margin) for the true speaker, scale * cos for the others.

    Wang et al., "Additive margin softmax for face verification", 2018. With ``subcentres`` each speaker has several
    centres, and the nearest counts (Deng et al., "Sub-center ArcFace", ECCV 2020), so that utterances with a wrong
    label gather around a centre of their own.

    Args:
        input_size: embedding size
        num_classes: number of training speakers
        margin: subtracted from the cosine of the true speaker
        scale: factor on the cosines
        subcentres: centres per speaker
    """

    def __init__(
        self, input_size: int, num_classes: int, margin: float = 0.4, scale: float = 30.0, subcentres: int = 1
    ) -> None:
        super().__init__()
        if not 0 <= margin < math.pi / 2 or scale <= 0 or subcentres < 1:
            raise ValueError(
                f"margin is {margin}, scale {scale}, subcentres {subcentres}; expected a margin from 0 to pi / 2, a "
                "positive scale and at least 1 centre"
            )
        self.margin, self.scale, self.subcentres = margin, scale, subcentres
        self.weight = nn.Parameter(torch.empty(num_classes * subcentres, input_size))
        nn.init.xavier_normal_(self.weight)

    def forward(self, x: Tensor, label: Tensor, share: float = 1.0) -> Tensor:
        """x (B, D), label int64 (B,) -> losses (B,)."""
        with torch.autocast(x.device.type, enabled=False):
            cosine = F.linear(F.normalize(x.float(), dim=-1), F.normalize(self.weight.float(), dim=-1))
            cosine = cosine.unflatten(-1, (-1, self.subcentres)).amax(dim=-1)
            target = cosine.gather(1, label.unsqueeze(1))
            cosine = cosine.scatter(1, label.unsqueeze(1), self._with_margin(target, share * self.margin))
            return F.cross_entropy(self.scale * cosine, label, reduction="none")

    @staticmethod
    def _with_margin(cosine: Tensor, margin: float) -> Tensor:
        return cosine - margin


class AAMSoftmax(AMSoftmax):
    """Additive angular margin softmax: scale * cos(angle + margin) for the true speaker.

    Deng et al., "ArcFace", CVPR 2019. Past an angle of pi - margin, where cos(angle + margin) would rise again, it is
    replaced by cos(angle) - margin * sin(margin), which keeps falling.

    Args:
        input_size: embedding size
        num_classes: number of training speakers
        margin: added to the angle of the true speaker, in radians
        scale: factor on the cosines
        subcentres: centres per speaker
    """

    def __init__(
        self, input_size: int, num_classes: int, margin: float = 0.2, scale: float = 30.0, subcentres: int = 1
    ) -> None:
        super().__init__(input_size, num_classes, margin=margin, scale=scale, subcentres=subcentres)

    @staticmethod
    def _with_margin(cosine: Tensor, margin: float) -> Tensor:
        sine = (1 - cosine.square()).clamp_min(1e-12).sqrt()  # the root of zero has no gradient
        turned = cosine * math.cos(margin) - sine * math.sin(margin)
        return torch.where(cosine > -math.cos(margin), turned, cosine - margin * math.sin(margin))
