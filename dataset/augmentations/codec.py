"""Codecs: what telephones and lossy files do to speech."""

from __future__ import annotations

import io
from collections.abc import Sequence

import soundfile
import torch

from dataset import SAMPLE_RATE

BLOCK = 1 << 16  # samples
FORMATS = {
    "mulaw": ("WAV", "ULAW", 8000),  # telephones in America and Japan
    "alaw": ("WAV", "ALAW", 8000),  # telephones elsewhere
    "gsm": ("WAV", "GSM610", 8000),  # early mobile telephones
    "mp3": ("MP3", "MPEG_LAYER_III", SAMPLE_RATE),
    "vorbis": ("OGG", "VORBIS", SAMPLE_RATE),
}


class Codec:
    """Encode and decode with a random codec; telephone codecs also limit the band to 4 kHz.

    Args:
        names: codecs to draw from: mulaw, alaw, gsm, mp3, vorbis
    """

    def __init__(self, names: list[str] = ["mulaw", "alaw", "gsm", "mp3", "vorbis"]):  # noqa: B006 (for --help)
        unknown = [name for name in names if name not in FORMATS]
        if unknown or not names:
            raise ValueError(f"names are {list(names)}; expected some of {', '.join(FORMATS)}")
        self.names: Sequence[str] = list(names)

    def __call__(self, wav: torch.Tensor) -> torch.Tensor:
        """(T,) -> (T,)."""
        name = self.names[int(torch.randint(len(self.names), ()))]
        return wav if len(wav) == 0 else coded(wav, name)


def coded(wav: torch.Tensor, name: str) -> torch.Tensor:
    """A waveform (T,) at 16 kHz as a codec leaves it, of the same length and in the same place."""
    from torchaudio.functional import resample

    kind, subtype, rate = FORMATS[name]
    narrow = wav if rate == SAMPLE_RATE else resample(wav, SAMPLE_RATE, rate)
    buffer = io.BytesIO()
    # full scale is the loudest that a codec of whole numbers holds
    peak = max(1.0, float(narrow.abs().max()))
    with soundfile.SoundFile(buffer, "w", rate, 1, subtype=subtype, format=kind) as file:
        for block in (narrow / peak).split(BLOCK):  # libsndfile crashes if minutes of Vorbis come at once
            file.write(block.numpy())
    buffer.seek(0)
    decoded = torch.from_numpy(soundfile.read(buffer, dtype="float32")[0]) * peak
    wide = decoded if rate == SAMPLE_RATE else resample(decoded, rate, SAMPLE_RATE)
    return torch.nn.functional.pad(wide, (0, max(0, len(wav) - len(wide))))[: len(wav)]
