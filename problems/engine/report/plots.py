"""Draw plots: a PNG for the report folder and an SVG for the page.

Uses matplotlib's object interface and never pyplot, which would choose a backend for the whole process. The import is
heavy: do it inside functions.
"""

from __future__ import annotations

import io
import math
import re
from dataclasses import dataclass, field

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator, PercentFormatter

from tasks.metrics.kinds import Metric, Rate

# Each colour is replaced in the SVG by the name beside it, which has a light and a dark value in the style sheet.
COLOURS = {
    "#2f6fde": "var(--curve-train)",
    "#d9622b": "var(--curve-valid)",
    "#5f6773": "var(--muted)",
    "#d4d8df": "var(--line)",
    "#1c2027": "var(--ink)",
}
TRAIN, VALID, MUTED, LINE, INK = COLOURS


@dataclass
class Series:
    """One curve; a value that is not finite is a gap."""

    name: str
    steps: list[float]
    values: list[float]
    colour: str
    sparse: bool = False  # few points: each gets a marker


@dataclass
class Plot:
    """One plot, over the steps of the training unless ``x_label`` says otherwise.

    file: the name of the PNG; metric: the declaration of the values; log: a log scale; best: a point (step, value).
    """

    file: str
    title: str
    metric: Metric
    series: list[Series]
    log: bool = False
    best: tuple[float, float] | None = None
    x_label: str = "step"
    png: bytes = field(default=b"", repr=False)
    svg: str = field(default="", repr=False)


def draw(plot: Plot) -> Plot:
    """Fill in ``png`` and ``svg``; the same input gives the same bytes."""
    figure = Figure(figsize=(5.2, 3.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for series in plot.series:
        values = [v if math.isfinite(v) else math.nan for v in series.values]
        marker = "o" if series.sparse or len(values) == 1 else None
        lines = axes.plot(series.steps, values, color=series.colour, linewidth=1.6, marker=marker, markersize=3.5)
        lines[0].set(label=series.name, clip_on=False)  # a curve along the edge is drawn in full width
    if plot.best is not None:
        axes.plot(*plot.best, "o", color=VALID, markersize=9, fillstyle="none", markeredgewidth=1.6, clip_on=False)
    _scale_values(axes, plot)
    _style(axes, plot.x_label)
    if len(plot.series) > 1:
        axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    plot.svg = _svg(figure, plot)
    axes.set_title(plot.title, parse_math=False, loc="left", fontsize=11, color=INK)  # the page has its own
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=150)
    plot.png = png.getvalue()
    return plot


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


def _svg(figure: Figure, plot: Plot) -> str:
    buffer = io.StringIO()
    # text stays text in the font of the page; ids differ between the plots of a page and repeat between runs
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": plot.file}):
        no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=no_metadata)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.S)
    svg = re.sub(r' id="[^"]*_\d+"', "", svg)  # group names that matplotlib repeats in each figure
    svg = re.sub(r"font: ([\d.]+)px [^;\"]+", r"font-size: \1px", svg)
    svg = re.sub(r'^<svg[^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" aria-hidden="true">', svg, flags=re.S)
    svg = svg.replace("xlink:href", "href")
    for colour, name in COLOURS.items():
        svg = svg.replace(colour, name)
    return svg
