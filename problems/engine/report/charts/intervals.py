"""Intervals: a value and its bounds as a dot on a line, on one scale for all rows of a table."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from problems.engine.report.charts.figure import element, joined

Measured = tuple[float | None, Sequence[float | None] | None]
"""A value and the bounds of its interval, as far as they are known."""


def intervals(measured: Sequence[Measured]) -> list[Markup]:
    """The drawing of each value, "" without one; all are empty if no value has an interval."""
    known = [number for value, bounds in measured for number in (value, *(bounds or ())) if _is_finite(number)]
    if not any(bounds for _, bounds in measured) or not known:
        return [Markup("")] * len(measured)
    low, width = min(known), (max(known) - min(known)) or 1.0

    def place(number: float) -> str:
        return f"{4 + 92 * (number - low) / width:.1f}%"

    drawings = []
    for value, bounds in measured:
        parts = []
        if bounds and all(map(_is_finite, bounds)):
            parts.append(element("line", x1=place(bounds[0]), x2=place(bounds[1]), y1="50%", y2="50%"))
        if _is_finite(value):
            parts.append(element("circle", cx=place(value), cy="50%", r="4"))
        drawings.append(joined(*parts))
    return drawings


def _is_finite(number: float | None) -> bool:
    return number is not None and math.isfinite(number)
