"""Draw plots as PNGs for the report folder; the page has its own drawings (``charts``).

Uses matplotlib's object interface and never pyplot, which would choose a backend for the whole process. The import is
heavy: do it inside functions.
"""

from __future__ import annotations

import io
import math

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator, PercentFormatter

from problems.engine.report.charts.plot import COLOURS, VALID, Plot
from tasks.metrics.kinds import Rate

MUTED, LINE, INK = "#5f6773", "#d4d8df", "#1c2027"


def draw(plot: Plot) -> bytes:
    """The PNG of a plot; the same input gives the same bytes."""
    figure = figure_of(plot)
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=150)
    return png.getvalue()


def figure_of(plot: Plot) -> Figure:
    """A plot as matplotlib draws it."""
    figure = Figure(figsize=(5.2, 3.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for series in plot.series:
        values = [v if math.isfinite(v) else math.nan for v in series.values]
        marker = "o" if series.sparse or len(values) == 1 else None
        style = {"color": COLOURS[series.colour], "linewidth": 1.6, "marker": marker, "markersize": 3.5}
        (line,) = axes.plot(series.steps, values, **style)
        line.set(label=series.name, clip_on=False)  # a curve along the edge is drawn in full width
    if plot.best is not None:
        ring = {"markersize": 9, "fillstyle": "none", "markeredgewidth": 1.6, "clip_on": False}
        axes.plot(*plot.best, "o", color=COLOURS[VALID], **ring)
    _scale_values(axes, plot)
    _style(axes, plot.x_label)
    if len(plot.series) > 1:
        axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    axes.set_title(plot.title, parse_math=False, loc="left", fontsize=11, color=INK)
    return figure


def _scale_values(axes: Axes, plot: Plot) -> None:
    """Choose the scale and the labels of the y axis; that of a rate stays within 0 and 100 % if its values do."""
    if plot.log:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
    if isinstance(plot.metric, Rate):
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol="%"))
        values = [value for series in plot.series for value in series.values if math.isfinite(value)]
        if values and min(values) >= 0 and max(values) <= 1:
            bottom, top = axes.get_ylim()
            axes.set_ylim(max(bottom, 0.0), min(top, 1.0))


def _style(axes: Axes, x_label: str) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel(x_label, color=MUTED)
    axes.tick_params(which="both", color=LINE, labelcolor=MUTED, labelsize=9)
    axes.grid(axis="y", color=LINE, linewidth=0.7)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(LINE)
