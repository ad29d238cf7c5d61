"""Histograms: how two kinds of score are distributed, over each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from problems.engine.report.charts.axis import BOTTOM, LEFT, RIGHT, TOP, frame, linear, short
from problems.engine.report.charts.figure import Figure, Row, element, joined
from tasks.metrics.kinds import Rate

BINS = 40


def histogram_figure(title: str, x_label: str, kinds: Sequence[tuple[str, np.ndarray, int]]) -> Figure:
    """The share of each kind's values in each bin.

    Args:
        kinds: the name, the values (N,) and the number of the colour of each kind.
    """
    everything = np.concatenate([values for _, values, _ in kinds])
    edges = np.histogram_bin_edges(everything, bins=BINS)
    counts = [np.histogram(values, edges)[0] for _, values, _ in kinds]
    shares = [own / max(1, len(values)) for own, (_, values, _) in zip(counts, kinds)]
    x = linear(edges.tolist(), LEFT, RIGHT)
    y = linear([0.0, float(np.max(shares))], BOTTOM, TOP, metric=Rate())
    drawn = [frame(x, y, x_label)]
    for own, (_, _, colour) in zip(shares, kinds):
        outline = "".join(
            f"V{y.place(share):.1f}H{x.place(edge):.1f}" for share, edge in zip(own.tolist(), edges[1:].tolist())
        )
        path = f"M{x.place(float(edges[0])):.1f} {BOTTOM:.1f}{outline}V{BOTTOM:.1f}"
        drawn.append(element("path", class_=f"area f{colour} s{colour}", d=path))
    rows = [
        Row(
            [f"{short(low)} to {short(high)}", *(f"{own[place]:,}" for own in counts)],
            x.place((low + high) / 2),
            [y.place(own[place]) for own in shares],
        )
        for place, (low, high) in enumerate(zip(edges[:-1].round(4).tolist(), edges[1:].round(4).tolist()))
    ]
    means = ", ".join(f"{name} {short(round(float(v.mean()), 4))} ({len(v):,})" for name, v, _ in kinds if len(v))
    return Figure(
        title=title,
        svg=joined(*drawn),
        header=[x_label, *(name for name, _, _ in kinds)],
        rows=rows,
        summary=f"{title}: how the {x_label} is distributed. Means: {means}.",
        legend=[(name, colour) for name, _, colour in kinds],
        note="the share of each kind in each bin",
    )
