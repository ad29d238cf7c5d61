"""Boundaries of phones: how far those of an alignment are from those of a reference.

A boundary is the beginning of a phone, or the end of one that the next does not follow at once. The share of boundaries
within a tolerance is the measure of forced aligners (Hosom, "Speaker-independent phoneme alignment using
transition-dependent states", Speech Communication 2009; McAuliffe et al., "Montreal Forced Aligner", Interspeech 2017).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

TOLERANCES_MS = (10, 20, 50)
TOUCHING = 1e-3
"""Phones that are nearer than this, in seconds, follow at once."""

Interval = tuple[float, float, str]
"""Start and end in seconds, and the phone."""


def boundary_errors(reference: Sequence[Interval], aligned: Sequence[Interval]) -> np.ndarray:
    """The distances of the boundaries of a reference from those of an alignment, in seconds: float64 (boundaries,).

    Args:
        reference: phones in order of time. aligned: the same phones, perhaps at other times.

    Raises:
        ValueError: the phones are others.
    """
    if [phone for *_, phone in reference] != [phone for *_, phone in aligned]:
        raise ValueError(f"expected the {len(reference)} phones of the reference, got {len(aligned)} or others")
    if not reference:
        return np.zeros(0)
    times, own = (np.array([interval[:2] for interval in side], dtype=np.float64) for side in (reference, aligned))
    is_end = np.append(times[1:, 0] - times[:-1, 1] > TOUCHING, True)
    return np.abs(np.concatenate([own[:, 0] - times[:, 0], (own[:, 1] - times[:, 1])[is_end]]))


def within(errors: np.ndarray, milliseconds: int) -> int:
    """The number of errors, in seconds, that are not above a tolerance."""
    return int((errors <= milliseconds / 1000 + 1e-9).sum())
