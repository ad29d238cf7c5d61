"""Scores of events are sed_eval's, over random recordings; matching is the best of all matchings."""

from __future__ import annotations

import itertools
from dataclasses import asdict, fields

import numpy as np
import pytest

from tasks.metrics.events import Event, EventScore, score

LABELS = ("bell", "door ü", "speech")


def recording(random, most: int = 8, seconds: float = 6.0) -> list[Event]:
    """Events at times on a grid of 50 ms, so that many are exactly at an edge of a tolerance or a segment."""
    events = []
    for _ in range(random.integers(0, most + 1)):
        start, length = random.integers(0, int(20 * seconds)) / 20, random.integers(1, 40) / 20
        events.append((start, start + length, str(random.choice(LABELS))))
    return events


def near(random, references: list[Event]) -> list[Event]:
    """References with moved times, some with another label or left out, and some more."""
    found = recording(random, 2)
    for start, end, label in references:
        if random.random() < 0.8:
            moved = max(0.0, start + random.integers(-6, 7) / 20)
            label = str(random.choice(LABELS)) if random.random() < 0.2 else label
            found.append((moved, max(moved + 0.05, end + random.integers(-6, 7) / 20), label))
    return found


def pairs(seed: int, count: int = 25) -> list[tuple[list[Event], list[Event]]]:
    random = np.random.default_rng(seed)
    references = [recording(random) for _ in range(count)]
    return [(own, near(random, own)) for own in references]


def total(recordings, **settings) -> dict[str, int]:
    counts = [asdict(score(references, found, **settings)) for references, found in recordings]
    return {field.name: sum(own[field.name] for own in counts) for field in fields(EventScore)}


@pytest.mark.parametrize(("collar", "share", "segment"), [(0.2, 0.2, 1.0), (0.05, 0.2, 0.5), (0.25, 0.5, 1.0)])
def test_counts_are_those_of_sed_eval(collar, share, segment):
    sed_eval = pytest.importorskip("sed_eval", reason="sed_eval (extra [dev]) is not installed")
    recordings = pairs(int(100 * collar))
    collars = {"t_collar": collar, "percentage_of_length": share}
    onset = sed_eval.sound_event.EventBasedMetrics(list(LABELS), evaluate_offset=False, **collars)
    both = sed_eval.sound_event.EventBasedMetrics(list(LABELS), **collars)
    segments = sed_eval.sound_event.SegmentBasedMetrics(list(LABELS), time_resolution=segment)
    for number, recording_pair in enumerate(recordings):
        lists = [
            [{"filename": str(number), "onset": s, "offset": e, "event_label": label} for s, e, label in events]
            for events in recording_pair
        ]
        for metrics in (onset, both, segments):
            metrics.evaluate(*lists)
    counts = total(recordings, collar=collar, offset_share=share, segment=segment)
    events = counts["references"] + counts["found"]
    assert 2 * counts["onset_hits"] / events == pytest.approx(onset.results_overall_metrics()["f_measure"]["f_measure"])
    assert 2 * counts["offset_hits"] / events == pytest.approx(both.results_overall_metrics()["f_measure"]["f_measure"])
    of_segments = segments.results_overall_metrics()
    both_sides = counts["segment_references"] + counts["segment_found"]
    assert 2 * counts["segment_hits"] / both_sides == pytest.approx(of_segments["f_measure"]["f_measure"])
    rate = counts["segment_errors"] / counts["segment_references"]
    assert rate == pytest.approx(of_segments["error_rate"]["error_rate"])


def test_no_other_matching_has_more_hits():
    """Every way to give each reference an event, tried."""
    random = np.random.default_rng(7)
    for _ in range(60):
        references, found = recording(random, 4, 1.5), recording(random, 4, 1.5)
        shorter, longer = sorted((references, found), key=len)
        best = max(
            sum(a[2] == b[2] and abs(a[0] - b[0]) <= 0.2 for a, b in zip(shorter, order))
            for order in itertools.permutations(longer, len(shorter))
        )
        assert score(references, found).onset_hits == best


def test_one_found_event_does_not_match_two_references():
    references, found = [(0.0, 1.0, "bell"), (0.1, 1.0, "bell")], [(0.05, 1.0, "bell")]
    assert score(references, found).onset_hits == 1
    assert score(references, [(0.05, 1.0, "door ü")]).onset_hits == 0


def test_a_recording_without_events_counts_what_is_found_in_it():
    counts = score([], [(0.5, 1.5, "bell")])
    assert (counts.references, counts.found, counts.onset_hits) == (0, 1, 0)
    assert (counts.segment_references, counts.segment_errors) == (0, 2)
    assert score([], []) == EventScore(*[0] * 8)
