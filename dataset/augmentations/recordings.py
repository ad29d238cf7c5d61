"""Recordings to draw from: the audio files of a folder, or of a CSV with the column wav_path."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from dataset import SAMPLE_RATE, audio
from dataset.metadata import read_csv

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".opus", ".m4a")


class Recordings:
    """Audio files by number, in the order of their paths.

    Args:
        source: a folder, searched with all that is below it, or a CSV with the column ``wav_path``, relative to it.

    Raises:
        ValueError: there is no such folder or file, or no audio in it.
    """

    def __init__(self, source: str | os.PathLike[str] | None):
        if source is None:
            raise ValueError("source is not set; expected a folder of audio, or a CSV with the column wav_path")
        path = Path(source).expanduser()
        if path.is_dir():
            found = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
        elif path.is_file():
            found = read_csv(path, ("wav_path",))["wav_path"].tolist()
        else:
            raise ValueError(f"{path} does not exist; expected a folder of audio, or a CSV with the column wav_path")
        if not found:
            raise ValueError(f"{path} holds no audio; expected files that end in {', '.join(SUFFIXES)}")
        self.paths = [str(p) for p in found]

    def draw(self) -> torch.Tensor:
        """Return a random recording (T,) at 16 kHz.

        Raises:
            AudioError: it cannot be read.
        """
        return audio.read(self.paths[int(torch.randint(len(self.paths), ()))])

    def draw_piece(self, samples: int) -> torch.Tensor:
        """Return a random piece (samples,) of a random recording; a shorter recording is repeated.

        Raises:
            AudioError: it cannot be read.
        """
        path = self.paths[int(torch.randint(len(self.paths), ()))]
        seconds = audio.info(path).seconds
        spare = seconds - samples / SAMPLE_RATE
        draw = float(torch.rand(()))
        if spare > 0:
            piece = audio.read(path, spare * draw, min(seconds, spare * draw + (samples + 1) / SAMPLE_RATE))
            return torch.nn.functional.pad(piece, (0, max(0, samples - len(piece))))[:samples]
        whole = audio.read(path)
        shift = int(draw * len(whole))
        return whole.roll(-shift).repeat(-(-samples // len(whole)))[:samples]
