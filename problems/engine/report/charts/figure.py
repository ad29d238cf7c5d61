"""A figure of the page: a drawing, and the table of its numbers, a row of which is shown where the pointer is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH, HEIGHT = 460, 260
"""The size of a drawing in its own units; the page scales it."""


@dataclass(frozen=True)
class Row:
    """A row of the table, and its place in the drawing; ``ys`` has a height for each mark."""

    cells: Sequence[str]
    x: float
    ys: Sequence[float] = ()


@dataclass
class Figure:
    """A drawing and its table.

    Args:
        title: the caption.
        svg: the drawing, without the element ``svg`` around it.
        header: of the table. rows: its rows, in the order in which the arrow keys visit them.
        summary: the drawing in words, for those who cannot see it.
        legend: the name of each colour, by its number.
        note: a line below the caption.
        height, width: of the drawing.
        by: how the row at the pointer is found: the nearest in ``x``, or in ``xy``.
        zero, second: of a drawing over time, the place of its start and the length of a second.
    """

    title: str
    svg: Markup
    header: Sequence[str]
    rows: Sequence[Row]
    summary: str
    legend: Sequence[tuple[str, int]] = ()
    note: str = ""
    height: int = HEIGHT
    width: int = WIDTH
    by: str = "x"
    zero: float = 0.0
    second: float = 0.0


@dataclass(frozen=True)
class Bars:
    """Numbers as bars in a table; each row has a name, a number and its text."""

    title: str
    header: tuple[str, str]
    rows: Sequence[tuple[str, float, str]]
    note: str = ""

    @classmethod
    def of_counts(cls, header: tuple[str, str], counts: Sequence[tuple[str, int]], note: str = "") -> Bars:
        """Bars of how often something occurs."""
        return cls("", header, [(name, count, f"{count:,}") for name, count in counts], note)

    def share(self, value: float) -> str:
        """The length of a bar in percent of the longest."""
        longest = max((number for _, number, _ in self.rows), default=0.0)
        return f"{100 * max(0.0, value) / longest:.1f}" if longest > 0 else "0"


def element(tag: str, text: object = None, **attributes: object) -> Markup:
    """An SVG element; ``_`` in a name stands for ``-``, and a name's last ``_`` is dropped, as of ``class_``."""
    names = (
        (name.rstrip("_").replace("_", "-"), f"{value:.1f}" if isinstance(value, float) else value)
        for name, value in attributes.items()
    )
    opening = Markup(" ").join([Markup(tag), *(Markup('{}="{}"').format(*pair) for pair in names)])
    return (
        Markup("<{}/>").format(opening)
        if text is None
        else Markup("<{}>{}</{}>").format(opening, escape(text), Markup(tag))
    )


def joined(*parts: Markup) -> Markup:
    """Elements one after another."""
    return Markup("").join(parts)
