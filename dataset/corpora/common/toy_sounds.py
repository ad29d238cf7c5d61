"""Sounds of toy recordings: coloured noise, and beeps, chirps, hisses and knocks. A function of their seeds alone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from dataset import SAMPLE_RATE

if TYPE_CHECKING:
    import numpy as np

EDGE_SEC = 0.01
"""Seconds in which a sound rises and falls."""


def generator(name: str) -> np.random.Generator:
    """Random numbers that depend on a name alone."""
    import numpy as np

    return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))


def coloured_noise(length: int, slope: float, random: np.random.Generator, lowest: float = 50.0) -> np.ndarray:
    """Noise of some power whose density falls with the frequency to the power ``slope``: (length,).

    Args:
        slope: 0: white; 1: pink; 2: brown; below 0: it rises.
        lowest: the frequency in Hz below which the density is flat.
    """
    import numpy as np

    spectrum = np.fft.rfft(random.standard_normal(length))
    frequencies = np.maximum(np.fft.rfftfreq(length, 1 / SAMPLE_RATE), lowest)
    return np.fft.irfft(spectrum * frequencies ** (-slope / 2), length)


def beep(length: int, random: np.random.Generator) -> np.ndarray:
    """A steady tone with an overtone."""
    import numpy as np

    phase = 2 * np.pi * random.uniform(700, 1100) * np.arange(length) / SAMPLE_RATE
    return np.sin(phase) + 0.3 * np.sin(3 * phase)


def chirp(length: int, random: np.random.Generator) -> np.ndarray:
    """A tone that rises by two octaves."""
    import numpy as np

    pitch = random.uniform(500, 900) * 4 ** (np.arange(length) / length)
    return np.sin(2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE)


def hiss(length: int, random: np.random.Generator) -> np.ndarray:
    """Noise of high frequencies."""
    return coloured_noise(length, -3.0, random, lowest=500.0)


def knock(length: int, random: np.random.Generator) -> np.ndarray:
    """Dull knocks, about eight a second."""
    import numpy as np

    period = round(SAMPLE_RATE * random.uniform(0.1, 0.15))
    since = np.arange(length) % period / SAMPLE_RATE
    return np.exp(-since / 0.015) * np.sin(2 * np.pi * random.uniform(150, 250) * since)


SOUNDS: dict[str, Callable[[int, np.random.Generator], np.ndarray]] = {
    "beep": beep,
    "chirp": chirp,
    "hiss": hiss,
    "knock": knock,
}


def faded(wav: np.ndarray) -> np.ndarray:
    """A waveform with soft edges, so that it does not click: (T,)."""
    import numpy as np

    edge = np.minimum(1.0, (np.arange(len(wav)) + 1) / (EDGE_SEC * SAMPLE_RATE))
    return wav * np.minimum(edge, edge[::-1])
