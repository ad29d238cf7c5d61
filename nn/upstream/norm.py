"""Statistics over time that know where an utterance ends."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nn.mask import frame_mask, zero_padding


def normalise_wav(wav: Tensor, wav_len: Tensor, eps: float) -> Tensor:
    """Zero mean and unit variance over each utterance's own samples: (B, T) -> (B, T), zero past the length."""
    count = wav_len.clamp_min(1).unsqueeze(1).to(wav.dtype)
    wav = zero_padding(wav.unsqueeze(-1), wav_len).squeeze(-1)
    wav = wav - wav.sum(dim=1, keepdim=True) / count
    wav = zero_padding(wav.unsqueeze(-1), wav_len).squeeze(-1)
    return wav * (wav.square().sum(dim=1, keepdim=True) / count + eps).rsqrt()


class TimeGroupNorm(nn.GroupNorm):
    """A group norm of one channel a group whose statistics are those of each item's true frames.

    ``torch.nn.GroupNorm``, which wav2vec 2.0 and HuBERT base have after their first convolution, takes the padding
    for signal, so that an utterance's features depend on its neighbours in the batch. State dicts are the same.
    Under autocast it computes in float32, as ``torch.nn.GroupNorm`` does.
    """

    lengths: Tensor | None = None  # (B,) int64, true frames of the next input; None: all of them

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C, T) -> (B, C, T)."""
        if self.lengths is None:
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            x = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
            inside = frame_mask(self.lengths, x.shape[2]).unsqueeze(-1).to(x.dtype)
            count = self.lengths.clamp_min(1).view(-1, 1, 1).to(x.dtype)
            # sums as products with the mask, which copy nothing of the size of x
            x = x - x @ inside / count
            scale = (x.square() @ inside / count + self.eps).rsqrt() * self.weight.to(x.dtype).unsqueeze(-1)
            return torch.addcmul(self.bias.to(x.dtype).unsqueeze(-1), x, scale)


def replace_group_norms(module: nn.Module) -> list[TimeGroupNorm]:
    """Make each one-channel group norm inside ``module`` a :class:`TimeGroupNorm`, weights kept; they are returned."""
    found = []
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.GroupNorm and child.num_groups == child.num_channels:
                norm = TimeGroupNorm(child.num_groups, child.num_channels, child.eps, child.affine)
                norm.weight, norm.bias = child.weight, child.bias
                setattr(parent, name, norm)
                found.append(norm)
    return found
