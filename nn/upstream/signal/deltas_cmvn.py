"""Deltas and normalisation over the true frames of each utterance in a padded batch.

Written here because torchaudio's own functions do not know lengths.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nn.mask import zero_padding

CMVN = ("none", "mean", "utterance", "sliding")
DELTA_FRAMES = 2
"""Frames on each side that a derivative depends on."""
SLIDING_FRAMES = 300
"""Frames that "sliding" takes the mean over."""


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

    "sliding" subtracts from each frame the mean of the last :data:`SLIDING_FRAMES` frames, itself among them. Otherwise
    statistics are per feature over the true frames; the deviation is the unbiased one, as in s3prl. It is at least a
    ten-thousandth of the mean, so that a constant feature gives zeros, not amplified rounding errors. Frames past the
    length are zeros.

    Args:
        x: (B, T, F), zero past the lengths.
        lengths: (B,) int64.
        cmvn: one of :data:`CMVN`.
    """
    if cmvn == "none":
        return x
    if cmvn == "sliding":
        return zero_padding(subtract_sliding_mean(x)[0], lengths)
    count = lengths.clamp_min(1).to(x.dtype).view(-1, 1, 1)
    mean = x.sum(dim=1, keepdim=True) / count
    x = zero_padding(x - mean, lengths)
    if cmvn == "mean":
        return x
    variance = x.square().sum(dim=1, keepdim=True) / (count - 1).clamp_min(1)
    # the floor is inside the root: the root's gradient at zero is infinite
    floor = mean.detach().square() * 1e-8 + 1e-20
    return x / torch.maximum(variance, floor).sqrt()


def subtract_sliding_mean(x: Tensor, sums: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Subtract from each frame the mean of the last :data:`SLIDING_FRAMES` frames, itself among them.

    It equals ``torchaudio.functional.sliding_window_cmn`` with one frame less as its window, a least window of one
    frame, and neither centring nor variances.

    Args:
        x: (B, T, F).
        sums: of the frames before ``x``, as an earlier call returned them; None at the beginning of an utterance.

    Returns:
        (B, T, F), and the sums that the next frames need.
    """
    if sums is None:
        sums = x.new_zeros(x.shape[0], 1, x.shape[2], dtype=torch.float64)
    known = sums.shape[1]
    running = torch.cat([sums[:, -1:], x.double()], dim=1).cumsum(dim=1)
    sums = torch.cat([sums[:, :-1], running], dim=1)
    last = torch.arange(known, sums.shape[1], device=x.device)
    first = (last - SLIDING_FRAMES).clamp_min(0)
    mean = (sums[:, known:] - sums.index_select(1, first)) / (last - first).view(1, -1, 1)
    return x - mean.to(x.dtype), sums[:, -SLIDING_FRAMES:]
