"""Waveforms whose content is known."""

from __future__ import annotations

import torch


def tone(hertz: float, seconds: float = 1.0) -> torch.Tensor:
    """A sine at 16 kHz."""
    return torch.sin(2 * torch.pi * hertz * torch.arange(int(16000 * seconds)) / 16000)
