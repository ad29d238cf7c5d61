"""A page of tables, bars and figures, in the style of the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from problems.engine.report.audio_clips import Clip
from problems.engine.report.cases import Pair
from problems.engine.report.charts.figure import Bars, Figure


@dataclass(frozen=True)
class Side:
    """The prediction of one system: its number, and its words beside those of the reference, its turns, or its text."""

    name: str
    value: str
    pairs: Sequence[Pair] = ()
    figure: Figure | None = None
    text: str = ""


@dataclass(frozen=True)
class Difference:
    """An utterance that systems predict differently."""

    id: str
    sides: Sequence[Side]
    clips: Sequence[Clip] = ()
    reference: str = ""


@dataclass
class Section:
    """A part of the page.

    Args:
        title: its heading.
        header: the columns of the table.
        rows: its cells. The first ``left`` columns are text, the others numbers.
        intervals: a drawing for each row; see :mod:`problems.engine.report.charts.intervals`.
        bars: drawn as horizontal bars.
        differences: utterances; ``is_text`` if their words are aligned.
        is_warning: True for a section that stands out.
    """

    title: str
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    left: int = 1
    intervals: Sequence[Markup] = ()
    bars: Bars | None = None
    figures: Sequence[Figure] = ()
    differences: Sequence[Difference] = ()
    is_text: bool = False
    note: str = ""
    is_warning: bool = False


@dataclass
class Page:
    """A page. tiles: numbers at its head, each with what it is."""

    kicker: str
    title: str
    subtitle: str = ""
    tiles: Sequence[tuple[str, str]] = ()
    sections: list[Section] = field(default_factory=list)

    def render(self) -> str:
        """The page as HTML."""
        from problems.engine.report.page import fill

        return fill("tables.html", page=self)
