"""Normalisation over the true samples or frames of each utterance in a padded batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from nn.mask import zero_padding


def normalise_wav(wav: Tensor, wav_len: Tensor, eps: float) -> Tensor:
    """Zero mean and unit variance over each utterance's own samples: (B, T) -> (B, T), zero past the length.

    The statistics are summed in float64: a long waveform has many small numbers, and later layers amplify rounding
    errors.
    """
    count = wav_len.clamp_min(1).unsqueeze(1)
    wav = zero_padding(wav.unsqueeze(-1), wav_len).squeeze(-1)
    mean = wav.double().sum(dim=1, keepdim=True) / count
    wav = zero_padding((wav - mean.to(wav.dtype)).unsqueeze(-1), wav_len).squeeze(-1)
    variance = wav.double().square().sum(dim=1, keepdim=True) / count
    return wav / (variance.to(wav.dtype) + eps).sqrt()


class TimeGroupNorm(nn.GroupNorm):
    """A group norm with one channel per group and the statistics of each item's true frames.

    wav2vec 2.0 and HuBERT base have a ``torch.nn.GroupNorm`` after their first convolution. It treats padding as
    signal, so that an utterance's features depend on its neighbours in the batch. Here it is called on the frames of
    each item: masked sums would take four times as long on a CPU, and round differently. State dicts are the same.
    """

    lengths: Tensor | None = None  # (B,) int64, true frames of the next input; None: all of them

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C, T) -> (B, C, T), zero past the lengths."""
        if self.lengths is None:
            return super().forward(x)
        frames = x.shape[2]
        rows = []
        for row, length in zip(x.split(1), self.lengths.tolist()):
            length = min(max(length, 2), frames)  # torch refuses a single frame; an item that short has no output
            rows.append(pad(super().forward(row[..., :length]), (0, frames - length)))
        return torch.cat(rows) if len(rows) > 1 else rows[0]


def replace_group_norms(module: nn.Module) -> list[TimeGroupNorm]:
    """Replace each one-channel group norm inside ``module`` by a :class:`TimeGroupNorm` with its weights.

    Returns:
        the new norms.
    """
    norms = []
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.GroupNorm and child.num_groups == child.num_channels:
                norm = TimeGroupNorm(child.num_groups, child.num_channels, child.eps, child.affine)
                norm.weight, norm.bias = child.weight, child.bias
                setattr(parent, name, norm)
                norms.append(norm)
    return norms
