"""SpecAugment (Park et al. 2019, 2020) on a padded batch, each utterance inside its own length.

Written here because torchaudio's masks do not know lengths and it has no time warp. All random numbers of a call
are one draw from torch's global CPU generator: restoring its state repeats the augmentation on any device.

Notation: B: batch, T: frames, H: features, M: masks.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nn.mask import frame_mask

CUBIC = -0.75  # the coefficient of torch.nn.functional.interpolate(mode="bicubic")


class SpecAugment(nn.Module):
    """Time warp, then frequency masks, then time masks; in training mode only.

    Masked values become zero, which after mean normalisation is the utterance's mean. The input is never
    changed in place. Frames past an utterance's length and lengths stay as they are. Ranges are inclusive; a mask
    is never wider than its axis.

    Time masks lie inside each utterance's own frames. Without ``time_mask_share`` (the paper's p), masks of a fixed
    width would cover most of a short utterance. s3prl draws their places over the padded length instead, so that short
    utterances of a batch are masked less.

    Args:
        time_warp: move a random frame by at most this many frames and stretch both sides (0: off)
        freq_mask_width: least and greatest width of a frequency mask, in features
        num_freq_masks: frequency masks per utterance
        time_mask_width: least and greatest width of a time mask, in frames
        num_time_masks: time masks per utterance
        time_mask_share: a time mask covers at most this share of the utterance's own frames (null: no limit)
        adaptive: let number and greatest width of time masks grow with the utterance
        adaptive_number_ratio: if adaptive, masks per frame (0: num_time_masks at any length)
        adaptive_size_ratio: if adaptive, share of the frames that one mask may cover, within time_mask_width
        max_time_masks: if adaptive, at most this many time masks
    """

    def __init__(
        self,
        time_warp: int = 5,
        freq_mask_width: list[int] = [0, 50],  # noqa: B006 (a literal, for --help; never changed)
        num_freq_masks: int = 4,
        time_mask_width: list[int] = [0, 40],  # noqa: B006
        num_time_masks: int = 2,
        time_mask_share: float | None = 0.2,
        adaptive: bool = False,
        adaptive_number_ratio: float = 0.04,
        adaptive_size_ratio: float = 0.04,
        max_time_masks: int = 20,
    ) -> None:
        super().__init__()
        for name, width in (("freq_mask_width", freq_mask_width), ("time_mask_width", time_mask_width)):
            if len(width) != 2 or not 0 <= width[0] <= width[1]:
                raise ValueError(f"{name} is {width!r}, expected [least, greatest] with 0 <= least <= greatest")
        if time_mask_share is not None and not 0 < time_mask_share <= 1:
            raise ValueError(f"time_mask_share is {time_mask_share}, expected more than 0 and at most 1, or null")
        counts = {
            "time_warp": time_warp,
            "num_freq_masks": num_freq_masks,
            "num_time_masks": num_time_masks,
            "adaptive_number_ratio": adaptive_number_ratio,
            "adaptive_size_ratio": adaptive_size_ratio,
            "max_time_masks": max_time_masks,
        }
        for name, value in counts.items():
            if value < 0:
                raise ValueError(f"{name} is {value}, expected 0 or more")
        self.time_warp = time_warp
        self.freq_mask_width = tuple(freq_mask_width)
        self.num_freq_masks = num_freq_masks
        self.time_mask_width = tuple(time_mask_width)
        self.num_time_masks = num_time_masks
        self.time_mask_share = time_mask_share
        self.number_ratio = adaptive_number_ratio if adaptive else 0.0
        self.size_ratio = adaptive_size_ratio if adaptive else 0.0
        self.max_time_masks = max_time_masks

    def forward(self, x: Tensor, x_len: Tensor) -> Tensor:
        """x (B, T, H), x_len (B,) int64 -> (B, T, H); x itself in evaluation mode."""
        if not self.training:
            return x
        num_freq = self.num_freq_masks
        num_time = self.max_time_masks if self.number_ratio > 0 else self.num_time_masks
        draws = torch.rand(len(x), 2 + 2 * num_freq + 2 * num_time).to(x.device, non_blocking=True)
        warp, freq, time = draws.split([2, 2 * num_freq, 2 * num_time], dim=1)
        if self.time_warp:
            x = warp_time(x, x_len, self.time_warp, warp)
        mask = torch.zeros(1, 1, 1, dtype=torch.bool, device=x.device)
        if num_freq:
            bins = torch.full_like(x_len, x.shape[2])
            mask = mask | _masks(freq, bins, self.freq_mask_width, axis=x.shape[2]).unsqueeze(1)
        if num_time:
            shares = [share for share in (self.time_mask_share, self.size_ratio) if share]
            widest = (x_len * min(shares)).long() if shares else None
            number = None
            if self.number_ratio > 0:
                number = (x_len * self.number_ratio).long().clamp_max(self.max_time_masks)
            masks = _masks(time, x_len, self.time_mask_width, axis=x.shape[1], widest=widest, number=number)
            mask = mask | masks.unsqueeze(2)
        inside = frame_mask(x_len, x.shape[1]).unsqueeze(2)
        return x.masked_fill(mask & inside, 0.0)


def _uniform(draw: Tensor, least: Tensor | int, greatest: Tensor) -> Tensor:
    """Integers from least to greatest, both included, from draws in [0, 1)."""
    return least + (draw * (greatest - least + 1)).long()


def _masks(
    draws: Tensor,
    sizes: Tensor,
    width: tuple[int, int],
    *,
    axis: int,
    widest: Tensor | None = None,
    number: Tensor | None = None,
) -> Tensor:
    """The union of each item's masks: (B, axis) bool.

    Args:
        draws: (B, 2 * M) in [0, 1).
        sizes: (B,), each item's own size along the axis.
        width: least and greatest width.
        axis: padded size of the axis.
        widest: (B,), a further bound on each item's widths (None: no bound).
        number: (B,), masks of each item out of M (None: all).
    """
    greatest = sizes.clamp_max(width[1])
    if widest is not None:
        greatest = torch.minimum(greatest, widest)
    least = greatest.clamp_max(width[0]).unsqueeze(1)
    width_draws, start_draws = draws.chunk(2, dim=1)
    widths = _uniform(width_draws, least, greatest.unsqueeze(1))
    if number is not None:
        order = torch.arange(widths.shape[1], device=widths.device)
        widths = widths * (order < number.unsqueeze(1))
    starts = _uniform(start_draws, 0, sizes.unsqueeze(1) - widths).unsqueeze(2)
    step = torch.arange(axis, device=draws.device)
    return ((step >= starts) & (step < starts + widths.unsqueeze(2))).any(dim=1)


def warp_time(x: Tensor, x_len: Tensor, window: int, draws: Tensor) -> Tensor:
    """Move one frame of each utterance and stretch the parts before and after it, along time only.

    Both parts are resampled as by ``torch.nn.functional.interpolate(mode="bicubic", align_corners=False)``.
    Utterances of at most 2 * window frames and all padding are returned unchanged.

    Args:
        x: (B, T, H).
        x_len: (B,) int64.
        window: greatest distance in frames.
        draws: (B, 2) in [0, 1), for the frame (from window to length - window - 1) and its new place.
    """
    batch, num_frames, size = x.shape
    length = x_len.unsqueeze(1)
    center = _uniform(draws[:, :1], window, length - window - 1)
    moved = _uniform(draws[:, 1:], center - window + 1, center + window)
    center = torch.where(length > 2 * window, center, 0)
    moved = torch.where(length > 2 * window, moved, 0)

    step = torch.arange(num_frames, device=x.device)
    left = step < moved
    in_start = torch.where(left, 0, center)
    in_size = torch.where(left, center, length - center)
    out_size = torch.where(left, moved, length - moved)
    # an item without frames has out_size 0; its frames are padding, which is replaced below
    scale = in_size.to(torch.float32) / out_size.clamp_min(1)
    position = (step - torch.where(left, 0, moved) + 0.5) * scale - 0.5
    whole = position.floor()
    fraction = (position - whole).unsqueeze(-1)

    taps = torch.arange(-1, 3, device=x.device)
    index = (whole.long().unsqueeze(-1) + taps).clamp_min(0)
    index = in_start.unsqueeze(-1) + torch.minimum(index, (in_size - 1).clamp_min(0).unsqueeze(-1))
    weights = _cubic((fraction - taps).abs())
    padding = ~frame_mask(x_len, num_frames).unsqueeze(-1)
    index = torch.where(padding, step.unsqueeze(-1), index)
    weights = torch.where(padding, (taps == 0).to(weights.dtype), weights)

    start = torch.arange(batch, device=x.device).view(-1, 1, 1) * num_frames
    return nn.functional.embedding_bag(
        (index + start).flatten(0, 1),
        x.reshape(batch * num_frames, size),
        per_sample_weights=weights.flatten(0, 1).to(x.dtype),
        mode="sum",
    ).view_as(x)


def _cubic(distance: Tensor) -> Tensor:
    """Keys' cubic convolution kernel at distances in [0, 2]."""
    near = ((CUBIC + 2) * distance - (CUBIC + 3)) * distance * distance + 1
    far = ((distance - 5) * distance + 8) * distance * CUBIC - 4 * CUBIC
    return torch.where(distance <= 1, near, far)
