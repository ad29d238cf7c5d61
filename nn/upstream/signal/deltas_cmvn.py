"""Deltas and mean-variance normalisation over the true frames of each utterance in a padded batch.

Written here because torchaudio's own functions do not know lengths.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nn.mask import zero_padding

CMVN = ("none", "mean", "utterance")


def add_deltas(x: Tensor, lengths: Tensor, orders: int) -> Tensor:
    """Append the first ``orders`` time derivatives: (B, T, F) -> (B, T, F * (1 + orders)).

    The window is 5 frames, and the first and last true frame are repeated beyond the edges, as by
    ``torchaudio.functional.compute_deltas(..., win_length=5)`` for the utterance alone.
    """
    if orders == 0:
        return x
    batch, num_frames, _ = x.shape
    steps = torch.arange(-2, num_frames + 2, device=x.device)
    index = torch.minimum(steps.clamp_min(0), (lengths - 1).clamp_min(0).unsqueeze(1))
    index = (index + torch.arange(batch, device=x.device).unsqueeze(1) * num_frames).flatten()
    parts = [x]
    for _ in range(orders):
        padded = parts[-1].flatten(0, 1).index_select(0, index).view(batch, num_frames + 4, -1)
        near = padded[:, 3:-1] - padded[:, 1:-3]
        far = padded[:, 4:] - padded[:, :-4]
        parts.append(torch.add(near, far, alpha=2.0) / 10.0)
    return torch.cat(parts, dim=-1)


def normalise(x: Tensor, lengths: Tensor, cmvn: str) -> Tensor:
    """Subtract each utterance's mean and, for "utterance", divide by its standard deviation.

    Statistics are per feature over the true frames; the deviation is the unbiased one, as in s3prl. It is at least a
    ten-thousandth of the mean, so that a constant feature gives zeros, not amplified rounding errors. Frames past the
    length are zeros.

    Args:
        x: (B, T, F), zero past the lengths.
        lengths: (B,) int64.
        cmvn: one of "none", "mean", "utterance".
    """
    if cmvn == "none":
        return x
    count = lengths.clamp_min(1).to(x.dtype).view(-1, 1, 1)
    mean = x.sum(dim=1, keepdim=True) / count
    x = zero_padding(x - mean, lengths)
    if cmvn == "mean":
        return x
    variance = x.square().sum(dim=1, keepdim=True) / (count - 1).clamp_min(1)
    # the floor is inside the root: the root's gradient at zero is infinite
    floor = mean.detach().square() * 1e-8 + 1e-20
    return x / torch.maximum(variance, floor).sqrt()
