"""Signal features of a recording that arrives in chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from nn.upstream.signal.deltas_cmvn import DELTA_FRAMES, add_deltas, subtract_sliding_mean

if TYPE_CHECKING:
    from nn.upstream.signal.base import SignalUpstream


class SignalStream:
    """One recording on its way through a :class:`SignalUpstream` whose normalisation is "none" or "sliding".

    A frame is complete with the last sample of its window; with deltas, two frames later for each order.
    """

    def __init__(self, upstream: SignalUpstream) -> None:
        self.upstream = upstream
        self.context = DELTA_FRAMES * upstream.deltas
        self.samples: Tensor | None = None
        """Those of windows that are not complete, (1, T)."""
        self.skipped = 0
        """Samples to come that lie between two windows, if the shift is longer than a window."""
        self.frames: Tensor | None = None
        """Those without deltas that later ones need, (1, T', H), ``behind`` of which are done."""
        self.behind = 0
        self.sums: Tensor | None = None

    def __call__(self, wav: Tensor, is_last: bool) -> Tensor:
        """(1, T) -> (1, T', H)."""
        x = self._with_deltas(self._windowed(wav), is_last)
        if self.upstream.cmvn == "sliding":
            x, self.sums = subtract_sliding_mean(x, self.sums)
        return x

    def _windowed(self, wav: Tensor) -> Tensor:
        """The features of the windows that the samples complete."""
        upstream = self.upstream
        wav, self.skipped = wav[:, self.skipped :], max(0, self.skipped - wav.shape[1])
        wav = wav if self.samples is None else torch.cat([self.samples, wav], dim=1)
        count = max(0, 1 + (wav.shape[1] - upstream.window_size) // upstream.shift)
        self.samples = wav[:, count * upstream.shift :]
        self.skipped += max(0, count * upstream.shift - wav.shape[1])
        if not count:
            return wav.new_zeros(1, 0, upstream.size)
        return upstream.features(wav.unfold(1, upstream.window_size, upstream.shift))

    def _with_deltas(self, x: Tensor, is_last: bool) -> Tensor:
        """The frames whose derivatives are known, with these."""
        frames = x if self.frames is None else torch.cat([self.frames, x], dim=1)
        ready = frames.shape[1] if is_last else max(self.behind, frames.shape[1] - self.context)
        if ready == self.behind:
            self.frames = frames
            return x.new_zeros(1, 0, self.upstream.hidden_sizes[0])
        lengths = torch.tensor([frames.shape[1]], device=x.device)
        done = add_deltas(frames, lengths, self.upstream.deltas)[:, self.behind : ready]
        kept = max(0, ready - self.context)
        self.frames, self.behind = frames[:, kept:], ready - kept
        return done
