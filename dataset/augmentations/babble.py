"""Babble: several voices behind the speech."""

from __future__ import annotations

import torch

from dataset.augmentations.levels import add_at_ratio, drawn_between, range_of
from dataset.augmentations.recordings import Recordings


class Babble:
    """Add pieces of several random recordings of speech, each as loud as the others, at a signal-to-noise ratio.

    With one voice, the utterance is mixed with another one.

    Args:
        source: a folder of recordings, or a CSV with the column wav_path
        snr: least and greatest ratio of the speech to all voices together in dB, drawn uniformly
        voices: least and greatest number of voices, drawn uniformly
    """

    def __init__(
        self,
        source: str | None = None,
        snr: list[float] = [5.0, 20.0],  # noqa: B006 (a literal, for --help)
        voices: list[int] = [3, 7],  # noqa: B006
    ):
        if len(voices) != 2 or not 1 <= voices[0] <= voices[1]:
            raise ValueError(f"voices is {voices}; expected [least, greatest] from 1")
        self.recordings, self.snr, self.voices = Recordings(source), range_of(snr, "snr"), tuple(voices)

    def __call__(self, wav: torch.Tensor) -> torch.Tensor:
        """(T,) -> (T,)."""
        ratio = drawn_between(self.snr)
        count = int(torch.randint(self.voices[0], self.voices[1] + 1, ()))
        if len(wav) == 0:
            return wav
        pieces = (self.recordings.draw_piece(len(wav)).double() for _ in range(count))
        powers = ((piece, piece.square().mean()) for piece in pieces)
        babble = sum((piece / power.sqrt() for piece, power in powers if power > 0), torch.zeros(len(wav)).double())
        return add_at_ratio(wav, babble, ratio)
