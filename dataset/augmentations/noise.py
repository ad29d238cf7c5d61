"""Additive noise at a signal-to-noise ratio."""

from __future__ import annotations

import torch

from dataset.augmentations.levels import add_at_ratio, drawn_between, range_of
from dataset.augmentations.recordings import Recordings


class Noise:
    """Add a random piece of a random recording; its power over the utterance is below the speech's by the ratio.

    An utterance or a piece of digital silence stays as it is.

    Args:
        source: a folder of recordings, or a CSV with the column wav_path
        snr: least and greatest signal-to-noise ratio in dB, drawn uniformly
    """

    def __init__(self, source: str | None = None, snr: list[float] = [0.0, 20.0]):  # noqa: B006 (a literal, for --help)
        self.recordings, self.snr = Recordings(source), range_of(snr, "snr")

    def __call__(self, wav: torch.Tensor) -> torch.Tensor:
        """(T,) -> (T,)."""
        ratio = drawn_between(self.snr)
        return wav if len(wav) == 0 else add_at_ratio(wav, self.recordings.draw_piece(len(wav)), ratio)
