"""Find speech by its energy: for clean recordings, where no detector is at hand."""

from __future__ import annotations

import numpy as np

FRAME_SEC = 0.01
LOWEST_DB = -60.0


def energy_activity(wav: np.ndarray, rate: int = 16000, share: float = 0.35, hang_sec: float = 0.1) -> np.ndarray:
    """True where there is speech: bool, a frame of 10 ms each.

    A frame is speech if its level is above the noise by ``share`` of the range from the noise (the 10th percentile)
    to loud speech (the 95th), and for ``hang_sec`` around such frames.

    Args:
        wav: (T,).
    """
    hop = round(rate * FRAME_SEC)
    frames = len(wav) // hop
    if frames == 0:
        return np.zeros(0, bool)
    padded = np.pad(wav.astype(np.float64) ** 2, (hop, hop))
    sums = np.concatenate(([0.0], padded.cumsum()))
    edges = np.arange(frames) * hop
    power = (sums[edges + 3 * hop] - sums[edges]) / (3 * hop)
    level = 10 * np.log10(np.maximum(power, 10 ** (LOWEST_DB / 10)))
    noise, loud = np.percentile(level, (10, 95))
    is_speech = level > noise + max(3.0, share * (loud - noise))
    reach = round(hang_sec / FRAME_SEC)
    spread = np.convolve(is_speech, np.ones(2 * reach + 1), "full") > 0
    return spread[reach : reach + frames]
