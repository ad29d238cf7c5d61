"""Curves: a plot of a training as a figure of the page."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from problems.engine.report.charts.axis import BOTTOM, LEFT, RIGHT, TOP, Axis, frame, linear, logarithmic
from problems.engine.report.charts.figure import Figure, Row, element, joined
from problems.engine.report.charts.plot import Plot, Series
from tasks.metrics.kinds import UNDECLARED

MOST = 300
"""Points of a curve that are drawn; of more, the lowest and highest of each stretch are."""


def curves_figure(plot: Plot) -> Figure:
    """A plot as a figure, whose table has a row for each step and a column for each curve."""
    series = [thinned(own) for own in plot.series]
    steps = sorted({step for own in series for step in own.steps})
    values = [value for own in series for value in own.values]
    x = linear(steps, LEFT, RIGHT)
    y = logarithmic(values, BOTTOM, TOP) if plot.log else linear(values, BOTTOM, TOP, metric=plot.metric, margin=0.04)
    drawn = [frame(x, y, plot.x_label), *(curve(own, x, y) for own in series)]
    if plot.best is not None:
        drawn.append(element("circle", class_="best", cx=x.place(plot.best[0]), cy=y.place(plot.best[1]), r=6))
    known = [dict(zip(own.steps, own.values)) for own in series]
    rows = [
        Row(
            [
                UNDECLARED.format(step),
                *(plot.metric.format(own[step]) if step in own else "" for own in known),
            ],
            x.place(step),
            [y.place(own[step]) for own in known if math.isfinite(own.get(step, math.nan))],
        )
        for step in steps
    ]
    return Figure(
        title=plot.title,
        svg=joined(*drawn),
        header=[plot.x_label, *(own.name or plot.title for own in series)],
        rows=rows,
        summary=_summary(plot),
        legend=[(own.name, own.colour) for own in series] if len(series) > 1 else [],
        note=_best(plot),
    )


def curve(series: Series, x: Axis, y: Axis) -> Markup:
    """The line of a series, broken at values that are not finite, with its markers."""
    path, is_down = [], False
    dots = []
    for step, value in zip(series.steps, series.values):
        if not math.isfinite(value):
            is_down = False
            continue
        px, py = x.place(step), y.place(value)
        path.append(f"{'L' if is_down else 'M'}{px:.1f} {py:.1f}")
        is_down = True
        if series.sparse or len(series.steps) == 1:
            dots.append(element("circle", class_=f"dot f{series.colour}", cx=px, cy=py, r=2.8))
    return joined(element("path", class_=f"curve s{series.colour}", d="".join(path)), *dots)


def thinned(series: Series, most: int = MOST) -> Series:
    """At most ``most`` points of a series: the first and last, and the lowest and highest of each stretch."""
    count = len(series.steps)
    if count <= most:
        return series
    kept = {0, count - 1}
    stretches = most // 2 - 1
    for number in range(stretches):
        inside = range(number * count // stretches, (number + 1) * count // stretches)
        known = [place for place in inside if math.isfinite(series.values[place])] or [inside[0]]
        kept |= {min(known, key=series.values.__getitem__), max(known, key=series.values.__getitem__)}
    places = sorted(kept)
    return Series(
        series.name,
        [series.steps[place] for place in places],
        [series.values[place] for place in places],
        series.colour,
        series.sparse,
    )


def _best(plot: Plot) -> str:
    if plot.best is None:
        return ""
    return f"best {plot.metric.format(plot.best[1])} at {plot.x_label} {UNDECLARED.format(plot.best[0])}"


def _summary(plot: Plot) -> str:
    parts = [_of(own.name, own.values, plot) for own in plot.series]
    best = _best(plot)
    return f"{plot.title} by {plot.x_label}. {' '.join(parts)}{f' The {best}.' if best else ''}"


def _of(name: str, values: Sequence[float], plot: Plot) -> str:
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return f"{name}: no finite values."
    first, last = plot.metric.format(known[0]), plot.metric.format(known[-1])
    low, high = plot.metric.format(min(known)), plot.metric.format(max(known))
    return f"{name}: from {first} to {last}, between {low} and {high}."
