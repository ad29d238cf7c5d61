"""Additive noise at a signal-to-noise ratio."""

from __future__ import annotations

import torch

from dataset.augmentations.recordings import Recordings


class Noise:
    """Add a random piece of a random recording; its power over the utterance is below the speech's by the ratio.

    An utterance or a piece of digital silence stays as it is.

    Args:
        source: a folder of recordings, or a CSV with the column wav_path
        snr: least and greatest signal-to-noise ratio in dB, drawn uniformly
    """

    def __init__(self, source: str | None = None, snr: list[float] = [0.0, 20.0]):  # noqa: B006 (a literal, for --help)
        if len(snr) != 2 or snr[0] > snr[1]:
            raise ValueError(f"snr is {snr}; expected [least, greatest] in dB")
        self.recordings, self.snr = Recordings(source), tuple(snr)

    def __call__(self, wav: torch.Tensor) -> torch.Tensor:
        """(T,) -> (T,)."""
        least, greatest = self.snr
        ratio = least + (greatest - least) * float(torch.rand(()))
        if len(wav) == 0:
            return wav
        noise = self.recordings.draw_piece(len(wav))
        powers = [float(x.double().square().mean()) for x in (wav, noise)]
        if min(powers) == 0:
            return wav
        return wav + noise * (powers[0] / powers[1] / 10 ** (ratio / 10)) ** 0.5
