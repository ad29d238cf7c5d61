"""Scores of sound events, as by sed_eval: of whole events by their onsets, and of segments by the labels in them.

Mesaros, Heittola and Virtanen, "Metrics for polyphonic sound event detection", Applied Sciences 6(6), 2016.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Event = tuple[float, float, str]
"""Start and end in seconds, and the label."""


@dataclass(frozen=True)
class EventScore:
    """Counts of one recording; those of several are summed.

    onset_hits, offset_hits: pairs of a reference and a found event that agree in label and onset, and also in offset;
    references, found: events; segment_hits: labels that are in a segment of both; segment_references, segment_found:
    labels in segments; segment_errors: labels of segments that are substituted, missed or inserted.
    """

    onset_hits: int
    offset_hits: int
    references: int
    found: int
    segment_hits: int
    segment_references: int
    segment_found: int
    segment_errors: int


def score(
    references: Sequence[Event],
    found: Sequence[Event],
    *,
    collar: float = 0.2,
    offset_share: float = 0.2,
    segment: float = 1.0,
) -> EventScore:
    """The counts of one recording.

    Args:
        collar: seconds that an onset may be off.
        offset_share: part of the reference's length that its offset may be off, if that is more than the collar.
        segment: seconds of a segment.
    """
    agree = _agreement(references, found, collar)
    lengths = np.array([end - start for start, end, _ in references])
    allowed = np.maximum(collar, offset_share * lengths)[:, None]
    ends = [np.array([end for _, end, _ in events]) for events in (references, found)]
    near = np.abs(np.subtract.outer(*ends)) <= allowed
    segments = [_segments(events, segment) for events in (references, found)]
    return EventScore(
        onset_hits=_matches(agree),
        offset_hits=_matches(agree & near),
        references=len(references),
        found=len(found),
        segment_hits=len(segments[0] & segments[1]),
        segment_references=len(segments[0]),
        segment_found=len(segments[1]),
        segment_errors=_segment_errors(*segments),
    )


def _agreement(references: Sequence[Event], found: Sequence[Event], collar: float) -> np.ndarray:
    """True for pairs of one label whose onsets are near: bool (references, found)."""
    starts, labels = [], []
    for events in (references, found):
        starts.append(np.array([start for start, _, _ in events]))
        labels.append(np.array([label for _, _, label in events], dtype=object))
    is_same = np.equal.outer(*labels).astype(bool)
    return is_same & (np.abs(np.subtract.outer(*starts)) <= collar)


def _matches(agree: np.ndarray) -> int:
    """The most pairs of which no two share an event, from bool (references, found)."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

    if not agree.any():
        return 0
    return int((maximum_bipartite_matching(csr_array(agree)) >= 0).sum())


def _segments(events: Sequence[Event], seconds: float) -> set[tuple[int, str]]:
    """The number of each segment that an event touches, with its label."""
    touched = set()
    for start, end, label in events:
        touched.update((number, label) for number in range(math.floor(start / seconds), math.ceil(end / seconds)))
    return touched


def _segment_errors(references: set[tuple[int, str]], found: set[tuple[int, str]]) -> int:
    """Substitutions, deletions and insertions: in each segment the larger number of labels that only one side has."""
    errors = 0
    for number in {number for number, _ in references ^ found}:
        missed, inserted = (
            sum(1 for place, _ in own if place == number) for own in (references - found, found - references)
        )
        errors += max(missed, inserted)
    return errors
