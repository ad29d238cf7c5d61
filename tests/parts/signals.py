"""Waveforms for the tests of signal features, and the features of one utterance."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import pytest
import torch

from nn.upstream import UPSTREAMS
from nn.upstream.signal.base import SignalUpstream
from tests.parts.upstreams import padded

DATA = Path(os.environ.get("SOUNDSTAGE_DATA", Path(__file__).resolve().parents[2] / "../shared/data"))
SIGNALS = sorted(name for name, target in UPSTREAMS.items() if target.startswith("nn.upstream.signal."))
LENGTHS = [16000, 12345, 0, 10, 400, 399, 200, 201, 8000, 720]


def signal_upstream(name: str, **conf) -> SignalUpstream:
    """The upstream called ``name``."""
    module, attribute = UPSTREAMS[name].split(":")
    return getattr(importlib.import_module(module), attribute)(**conf)


def alone(upstream: SignalUpstream, wav: torch.Tensor) -> torch.Tensor:
    """The features (T', H) of one waveform (T,)."""
    (x,), (length,) = upstream(wav.unsqueeze(0), torch.tensor([len(wav)]))
    return x[0, : int(length)]


def noise() -> list[torch.Tensor]:
    """A waveform of each of LENGTHS."""
    wav, wav_len = padded(LENGTHS)
    return [row[:length] for row, length in zip(wav, wav_len.tolist())]


def real_speech() -> list[torch.Tensor]:
    """Some recordings; the test is skipped if there are none on this machine."""
    files = sorted((DATA / "fsdd").rglob("*.wav"))[:3] + sorted((DATA / "librispeech_small").rglob("*.flac"))[:2]
    if not files:
        pytest.skip(f"no real speech under {DATA}")
    soundfile = pytest.importorskip("soundfile")
    return [torch.from_numpy(soundfile.read(str(path), dtype="float32")[0]) for path in files]
