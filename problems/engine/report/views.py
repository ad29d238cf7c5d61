"""Views of tests: for each test set of a checkpoint its figures, and lists of its worst utterances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from problems.engine.report.audio_clips import Audio, Clips
from problems.engine.report.cases import CaseList, case_list
from problems.engine.report.charts.figure import Figure
from problems.engine.report.figures.labels import Confusion, confusion, label_reliability
from problems.engine.report.figures.trials import trial_figures
from problems.engine.report.predictions import COLUMNS, TRIALS, Predictions, read_predictions
from problems.engine.report.rankings import Ranking, ranked, usual
from problems.engine.report.read import Result, Run


@dataclass
class TestView:
    """The part of the page about the predictions on one test set."""

    __test__ = False  # its name is not that of a test

    test_set: str
    figures: list[Figure]
    confusion: Confusion | None
    lists: list[CaseList]
    audio: Audio


def views_of(run: Run, checkpoint: str | None, target: Path, asked: Sequence[Ranking] = ()) -> list[TestView]:
    """The views of the test sets of a checkpoint; those without predictions are left out.

    Args:
        run: notes are added to it. target: its folder, which has the test sets' metadata.
        asked: the lists to show; none: the usual one.
    """
    views, clips = [], Clips()
    for test_set, result in run.results.get(checkpoint or "", {}).items():
        columns = TRIALS if result.predicts == "trials" else COLUMNS
        rows = read_predictions(result.predictions, run.notes, columns)
        if rows is None:
            continue
        audio = Audio(target / "data" / f"{test_set}.csv", clips)
        own = [ranked(rows, ranking, run.declarations, test_set) for ranking in asked] or [
            usual(rows, result.predicts, run.declarations)
        ]
        lists = [case_list(test_set, listed, result.predicts, audio) for listed in own]
        views.append(TestView(test_set, *_pictures(rows, result), lists, audio))
    run.notes.extend(clips.notes)
    return views


def _pictures(rows: Predictions, result: Result) -> tuple[list[Figure], Confusion | None]:
    """The figures of predictions, and the confusions of labels."""
    if result.predicts == "trials":
        return trial_figures(rows, result.predictions.parent), None
    if result.predicts == "label":
        reliability = label_reliability(rows)
        return [reliability] if reliability else [], confusion(rows)
    return [], None
