"""Boundaries of phones: how far those of an alignment are from those of a reference.

A boundary is the beginning of a phone, or the end of one that the next does not follow at once. Those of an utterance
lie inside it: the beginning of its first phone and the end of its last one are left out, since corpora that label
silence (TIMIT's ``h#``) put them at the ends of the file, where nothing has to be found. The share of boundaries within
a tolerance is the measure of forced aligners (Hosom, "Speaker-independent phoneme alignment using transition-dependent
states", Speech Communication 2009; McAuliffe et al., "Montreal Forced Aligner", Interspeech 2017).
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

    N phones that follow at once have N - 1.

    Args:
        reference: phones in order of time. aligned: the same phones, perhaps at other times.

    Raises:
        ValueError: the phones are others.
    """
    if [phone for *_, phone in reference] != [phone for *_, phone in aligned]:
        raise ValueError(f"expected the {len(reference)} phones of the reference, got {len(aligned)} or others")
    times, own = (np.array([interval[:2] for interval in side]).reshape(-1, 2) for side in (reference, aligned))
    starts, ends = own[1:, 0] - times[1:, 0], own[:-1, 1] - times[:-1, 1]
    is_pause = times[1:, 0] - times[:-1, 1] > TOUCHING
    return np.abs(np.concatenate([starts, ends[is_pause]]))


def within(errors: np.ndarray, milliseconds: int) -> int:
    """The number of errors, in seconds, that are not above a tolerance."""
    return int((errors <= milliseconds / 1000 + 1e-9).sum())
