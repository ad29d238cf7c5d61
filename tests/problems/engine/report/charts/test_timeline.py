"""A timeline has each turn once, and shows who was taken for whom by colour."""

from __future__ import annotations

import re

from problems.engine.report.charts.timeline import timeline_figure
from tests.parts.target_folders import SCRIPT

REFERENCE = [(0.0, 2.0, "ann"), (2.0, 5.0, "bob"), (6.0, 7.0, "ann")]


def colours(figure) -> dict[tuple[str, str], str]:
    shapes = re.findall(r'class="f(\d)" data-row="(\d+)"', str(figure.svg))
    return {tuple(figure.rows[int(row)].cells[:2]): colour for colour, row in shapes}


def test_a_speaker_of_the_hypothesis_has_the_colour_of_the_one_who_is_overlapped_most():
    hypothesis = [(0.0, 1.9, "2"), (2.1, 5.0, "1"), (6.0, 7.0, "2"), (6.5, 6.6, "3")]
    figure = timeline_figure("r1", REFERENCE, hypothesis)
    own = colours(figure)
    assert own["hypothesis", "2"] == own["reference", "ann"] and own["hypothesis", "1"] == own["reference", "bob"]
    assert own["hypothesis", "3"] not in (own["reference", "ann"], own["reference", "bob"])
    assert len(figure.rows) == 7 and figure.rows[0].cells == ["reference", "ann", "0.00", "2.00"]
    assert figure.rows[0].x < figure.rows[2].x  # by time


def test_a_recording_without_turns_and_names_of_any_kind():
    assert timeline_figure("r1", [], []).rows == []
    figure = timeline_figure(SCRIPT, [(0.0, 1.0, "<b>" * 20)], [])
    assert "<b>" not in str(figure.svg) and len(figure.rows) == 1


def test_of_a_long_recording_the_beginning_is_drawn():
    turns = [(float(start), start + 0.5, "ann") for start in range(1000)]
    figure = timeline_figure("r1", turns, turns)
    assert len(figure.rows) == 300 and "in the first 150 s" in figure.note
