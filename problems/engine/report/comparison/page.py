"""The page of a comparison: metrics, paired tests, curves over each other, settings and utterances that differ."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from problems.engine.report import paired
from problems.engine.report.audio_clips import Audio, Clips
from problems.engine.report.cases import align, turns_of
from problems.engine.report.charts.figure import Figure
from problems.engine.report.charts.intervals import intervals
from problems.engine.report.charts.lines import curves_figure
from problems.engine.report.charts.plot import RUNS, Plot, Series
from problems.engine.report.charts.timeline import timeline_figure
from problems.engine.report.comparison.runs import PAIRED, FinishedRun, MetricRow, Pair, shared_sets
from problems.engine.report.curves import LOSS, NAMES, is_wide
from problems.engine.report.figures.trials import det_figure, read_det
from problems.engine.report.tables_page import Difference, Page, Section, Side
from tasks.metrics.kinds import Count

NOTE = (
    "A difference is the second run's value minus the first's, on the utterances that both have; its interval and p are"
    " from a paired bootstrap. Detectable: the smallest difference that this test set shows in 80 % of cases."
)


def comparison_page(
    runs: Sequence[FinishedRun],
    rows: Sequence[MetricRow],
    pairs: Sequence[Pair],
    configs: Sequence[Mapping[str, Any]],
) -> str:
    """The page as HTML.

    Args:
        rows: of the metrics. pairs: the paired tests.
        configs: of the runs, by dotted key.
    """
    metric, first_set = runs[0].report["metric"] or "", next(iter(runs[0].results), "")
    tiles = [
        (
            f"{run.name}: {run.metric(metric).heading(metric)}",
            run.metric(metric).format(run.results.get(first_set, {}).get(metric)),
        )
        for run in runs
    ]
    page = Page("Soundstage comparison", " · ".join(run.name for run in runs), first_set, tiles=tiles)
    page.sections.append(_metrics(rows))
    if pairs:
        page.sections.append(Section("Paired tests", PAIRED, [pair.cells for pair in pairs], left=3, note=NOTE))
    figures = [*_curves(runs), *_det_curves(runs)]
    if figures:
        page.sections.append(Section("Curves", figures=figures))
    keys = paired.differing_keys(configs)
    shown = [[key, *(json.dumps(v, ensure_ascii=False) for v in values)] for key, values in keys]
    if shown:
        header = ["key", *(run.name for run in runs)]
        page.sections.append(Section("Settings that differ", header, shown, left=len(header)))
    clips = Clips()
    page.sections += _differences(runs, clips)
    page.sections[-1].note += " ".join(clips.notes)
    return page.render()


def _metrics(rows: Sequence[MetricRow]) -> Section:
    """The metrics, with the intervals of each drawn on a scale of its own."""
    drawn = [
        drawing
        for _, own in itertools.groupby(rows, key=lambda row: (row.test_set, row.name))
        for drawing in intervals([(row.value, row.bounds) for row in own])
    ]
    header = ["run", "test set", "metric", "value", "95 % interval"]
    return Section("Metrics", header, [row.cells for row in rows], left=3, intervals=drawn if any(drawn) else ())


def _curves(runs: Sequence[FinishedRun]) -> Iterator[Figure]:
    """The loss of training, and every validation metric, of the runs that logged them."""
    for split, names in (("train", [LOSS]), ("valid", runs[0].run.logged_metrics("valid"))):
        for name in names:
            metric = runs[0].metric(name)
            points = {run.name: run.run.points(split, name) for run in runs}
            if isinstance(metric, Count) or not all(points.values()):
                continue
            series = [
                Series(run, *map(list, zip(*own)), colour, sparse=split == "valid" and len(own) < 60)
                for (run, own), colour in zip(points.items(), itertools.cycle(RUNS))
            ]
            log = name == LOSS and is_wide(series)
            title = f"{NAMES[split]} {metric.heading(name)}{' (log scale)' if log else ''}"
            yield curves_figure(Plot("", title, metric, series, log=log))


def _det_curves(runs: Sequence[FinishedRun]) -> Iterator[Figure]:
    """The DET curves of each test set of trials."""
    for test_set in runs[0].results:
        results = {run.name: run.result(test_set) for run in runs}
        points = {name: read_det(own.predictions.parent) for name, own in results.items() if own is not None}
        figure = det_figure(f"DET curves on {test_set}", points)
        if figure is not None:
            yield figure


# ---- where they differ ----


def _differences(runs: Sequence[FinishedRun], clips: Clips) -> Iterator[Section]:
    """For each run and test set the utterances on which it differs most from the first."""
    one = runs[0]
    for other in runs[1:]:
        for test_set in shared_sets(one, other):
            contrasts = _contrasts(one, other, test_set)
            if not contrasts:
                continue
            audio = Audio(one.folder / "data" / f"{test_set}.csv", clips)
            predicts = one.result(test_set).predicts
            differences = [
                Difference(
                    contrast.id,
                    [_side(run.name, contrast, number, predicts) for number, run in enumerate((one, other))],
                    [clip for id in contrast.ids for clip in audio.clips(id)],
                    "" if predicts == "text" else contrast.reference,
                )
                for contrast in contrasts
            ]
            title = f"Where {other.name} differs most on {test_set}"
            yield Section(title, differences=differences, is_text=predicts == "text")


def _contrasts(one: FinishedRun, other: FinishedRun, test_set: str) -> list[paired.Contrast]:
    """By the metric that chooses checkpoints or, if utterances have no such number, by the first that they have."""
    tables = one.predictions(test_set), other.predictions(test_set)
    first = one.report["metric"]
    for name in dict.fromkeys([first, *one.declarations]):
        contrasts = paired.most_different(*tables, one.metric(name))
        if contrasts:
            return contrasts
    return []


def _side(name: str, contrast: paired.Contrast, number: int, predicts: str) -> Side:
    """The prediction of one of two runs."""
    hypothesis, value = contrast.hypotheses[number], contrast.values[number]
    if predicts == "text":
        return Side(name, value, pairs=align(contrast.reference, hypothesis))
    turns = [turns_of(text) for text in (contrast.reference, hypothesis)] if predicts == "turns" else [None]
    if None not in turns:
        return Side(name, value, figure=timeline_figure(f"{contrast.id}: {name}", *turns))
    return Side(name, value, text=hypothesis)
