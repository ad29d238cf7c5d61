"""Axes: where a value lies in a drawing, and round values to label."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from markupsafe import Markup

from problems.engine.report.charts.figure import HEIGHT, WIDTH, element, joined
from tasks.metrics.kinds import UNDECLARED, Metric, Rate

LEFT, RIGHT, TOP, BOTTOM = 48.0, WIDTH - 16.0, 22.0, HEIGHT - 40.0
"""The edges of the plotted area."""
LABEL_GAP = 34, 13
"""The least distance of two labels of an axis, across and down."""
DET_RATES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9)


@dataclass(frozen=True)
class Axis:
    """An axis from ``low`` at the pixel ``start`` to ``high`` at ``end``; its scale is straight after ``bend``."""

    low: float
    high: float
    start: float
    end: float
    ticks: Sequence[tuple[float, str]]
    bend: Callable[[float], float] = float

    def place(self, value: float) -> float:
        """The pixel of a value; one outside the axis is at its edge."""
        low, high = self.bend(self.low), self.bend(self.high)
        share = (self.bend(min(max(value, self.low), self.high)) - low) / (high - low)
        return self.start + share * (self.end - self.start)


def linear(
    values: Iterable[float], start: float, end: float, *, metric: Metric = UNDECLARED, margin: float = 0.0
) -> Axis:
    """An axis around finite values.

    That of a rate within 0 and 1, and that of values that are not negative, stay there.

    Args:
        margin: the part of the range that is added on both sides.
    """
    known = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(known), max(known)
    is_rate = isinstance(metric, Rate)
    if high - low < 1e-9 * max(abs(low), abs(high), 1e-9):
        around = max(abs(low) * 0.1, 0.005 if is_rate else (1e-6 if low else 1.0))
        low, high = low - around, high + around
    edges = low - margin * (high - low), high + margin * (high - low)
    if is_rate and low >= 0 and max(known) <= 1:
        edges = max(edges[0], 0.0), min(edges[1], 1.0)
    elif min(known) >= 0:
        edges = max(edges[0], 0.0), edges[1]
    text = (lambda value: f"{100 * value:.10g}%") if is_rate else short
    return Axis(*edges, start, end, [(value, text(value)) for value in round_values(*edges)])


def logarithmic(values: Iterable[float], start: float, end: float) -> Axis:
    """An axis of values above 0 whose equal steps are equal ratios."""
    known = [value for value in values if math.isfinite(value) and value > 0]
    low, high = min(known) / 1.1, max(known) * 1.1
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    digits = (1, 2, 5) if len(powers) <= 4 else (1,)
    ticks = [digit * 10.0**power for power in powers for digit in digits if low <= digit * 10.0**power <= high]
    return Axis(low, high, start, end, [(value, short(value)) for value in ticks], math.log10)


def deviates(low: float, high: float, start: float, end: float) -> Axis:
    """An axis of error rates by their normal deviates, as of a DET plot; its ends are labelled rates around both."""
    below = [rate for rate in DET_RATES if rate <= low] or DET_RATES[:1]
    above = [rate for rate in DET_RATES if rate >= high] or DET_RATES[-1:]
    ends = below[-1], above[0]
    ticks = [(rate, f"{100 * rate:g}%") for rate in DET_RATES if ends[0] <= rate <= ends[1]]
    return Axis(*ends, start, end, ticks, NormalDist().inv_cdf)


def round_values(low: float, high: float, count: int = 5) -> list[float]:
    """About ``count`` multiples of 1, 2 or 5 times a power of ten, from ``low`` to ``high``."""
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = min((power * digit for digit in (1, 2, 5, 10)), key=lambda own: abs(math.log(own / raw)))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def short(value: float) -> str:
    """A number for an axis, such as 2k or 0.005."""
    if abs(value) >= 1e6:
        return f"{value / 1e6:g}M"
    return f"{value / 1e3:g}k" if abs(value) >= 1e4 else f"{value:.6g}"


def frame(x: Axis, y: Axis, x_label: str, y_label: str = "") -> Markup:
    """The grid, the labels of both axes, and their names."""
    lines = []
    for value, text in _apart(y, LABEL_GAP[1]):
        lines.append(element("path", class_="grid", d=f"M{LEFT:.0f} {y.place(value):.1f}H{RIGHT:.0f}"))
        lines.append(element("text", text, x=LEFT - 7, y=y.place(value) + 4, class_="end"))
    for value, text in _apart(x, LABEL_GAP[0]):
        lines.append(element("path", class_="axis", d=f"M{x.place(value):.1f} {BOTTOM:.0f}v4"))
        lines.append(element("text", text, x=x.place(value), y=BOTTOM + 17, class_="middle"))
    lines.append(element("path", class_="axis", d=f"M{LEFT:.0f} {BOTTOM:.0f}H{RIGHT:.0f}"))
    lines.append(element("text", x_label, x=(LEFT + RIGHT) / 2, y=BOTTOM + 34, class_="middle"))
    if y_label:
        lines.append(element("text", y_label, x=0, y=11))
    return joined(*lines)


def _apart(axis: Axis, gap: float) -> Iterator[tuple[float, str]]:
    """The ticks whose labels do not touch."""
    last = -math.inf
    for value, text in axis.ticks:
        place = abs(axis.place(value) - axis.start)
        if place - last >= gap:
            last = place
            yield value, text
