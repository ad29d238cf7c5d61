"""Figures of verification trials: the DET curve, the scores, and the reliability of likelihood ratios."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from problems.engine.report.charts.axis import BOTTOM, LEFT, RIGHT, TOP, deviates, frame
from problems.engine.report.charts.figure import Figure, Row, element, joined
from problems.engine.report.charts.histogram import histogram_figure
from problems.engine.report.charts.plot import RUNS
from problems.engine.report.figures.labels import reliability_figure
from problems.engine.report.predictions import Predictions, is_target, numbers_in
from tasks.metrics.kinds import UNDECLARED, Rate

DET = "det.json"
"""Operating points of a test, in its folder: ``threshold``, ``miss`` and ``false_alarm``."""
KINDS = ("false_alarm", "miss")
WORST = 0.4
"""The highest rate of a DET plot, if systems are better than that."""
Points = Sequence[Mapping[str, float]]


def read_det(folder: Path) -> Points:
    """The operating points of a test; none if it has none that can be read."""
    try:
        points = json.loads((folder / DET).read_text(encoding="utf-8"))
        return [{key: float(point[key]) for key in ("threshold", "miss", "false_alarm")} for point in points]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def det_figure(title: str, systems: Mapping[str, Points]) -> Figure | None:
    """Misses over false alarms, both by their normal deviates; None without points.

    The plotted part has all points at which both rates are above zero and at most WORST, or all that are above zero
    if the systems are worse than that.

    Martin et al., "The DET curve in assessment of detection task performance", Eurospeech 1997.
    """
    systems = {name: points for name, points in systems.items() if points}
    if not systems:
        return None
    equal = {name: _equal(points) for name, points in systems.items()}
    highest = WORST if max(equal.values()) < WORST else 0.9
    rates = [point[kind] for points in systems.values() for point in points for kind in KINDS]
    lowest = min((rate for rate in rates if 0 < rate < highest), default=0.0)
    x, y, metric = deviates(lowest, highest, LEFT, RIGHT), deviates(lowest, highest, BOTTOM, TOP), Rate()
    diagonal = f"M{x.place(x.low):.1f} {y.place(y.low):.1f}L{x.place(x.high):.1f} {y.place(y.high):.1f}"
    drawn, rows = [frame(x, y, "false alarms", "misses"), element("path", class_="guide", d=diagonal)], []
    colours = dict(zip(systems, itertools.cycle(RUNS)))
    for name, points in systems.items():
        shown = [point for point in points if all(point[kind] <= highest for kind in KINDS)] or points
        places = [(x.place(point["false_alarm"]), y.place(point["miss"])) for point in shown]
        path = "L".join(f"{px:.1f} {py:.1f}" for px, py in places)
        drawn.append(element("path", class_=f"curve s{colours[name]}", d=f"M{path}"))
        for point, (px, py) in zip(shown, places):
            cells = [UNDECLARED.format(point["threshold"]), *(metric.format(point[kind]) for kind in KINDS)]
            rows.append(Row([*([name] if name else []), *cells], px, [py]))
    texts = "; ".join(f"{name} {metric.format(rate)}".strip() for name, rate in equal.items())
    return Figure(
        title=title,
        svg=joined(*drawn),
        header=[*(["run"] if all(systems) else []), "threshold", "false alarms", "misses"],
        rows=rows,
        summary=f"{title}: misses over false alarms on normal deviate scales. Both are equal at {texts}.",
        legend=list(colours.items()) if len(systems) > 1 else [],
        note="the dashed diagonal is where both rates are equal",
        by="xy",
    )


def _equal(points: Points) -> float:
    """The mean of both rates where they differ least."""
    point = min(points, key=lambda point: abs(point["miss"] - point["false_alarm"]))
    return (point["miss"] + point["false_alarm"]) / 2


def trial_figures(rows: Predictions, folder: Path) -> list[Figure]:
    """The figures of the trials of a test.

    Args:
        rows: of ``predictions.csv``: ``label``, ``score`` and, of a calibrated system, ``llr``.
        folder: of the test.
    """
    targets = np.array([is_target(row) for row in rows], dtype=bool)
    if targets.all() or not targets.any():
        return []
    figures = [det_figure("DET curve", {"": read_det(folder)})]
    scores = numbers_in(rows, "score")
    if scores is not None:
        kinds = [("different speakers", scores[~targets], 1), ("same speaker", scores[targets], 0)]
        figures.append(histogram_figure("Scores", "score", kinds))
    ratios = numbers_in(rows, "llr")
    if ratios is not None:
        figures.append(_ratio_reliability(ratios, targets))
    return [figure for figure in figures if figure is not None]


def _ratio_reliability(ratios: np.ndarray, targets: np.ndarray) -> Figure:
    """The share of target trials by the probability that a likelihood ratio gives, at the test's own prior."""
    odds = np.log(targets.mean() / (1 - targets.mean()))
    probability = 1 / (1 + np.exp(-np.clip(ratios + odds, -500, 500)))
    return reliability_figure(
        "Reliability of the likelihood ratios", probability, targets, kinds=("probability of a target", "targets")
    )
