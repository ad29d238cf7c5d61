"""A page of tables and bars: one HTML file in the style of the report, without scripts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup


@dataclass
class Section:
    """A part of the page: a table, bars, or both.

    Args:
        title: its heading.
        header: the columns of the table.
        rows: its cells. The first ``left`` columns are text, the others numbers.
        bars: names with numbers, drawn as horizontal bars.
        svg: a drawing of ours, not escaped.
        is_warning: True for a section that stands out.
    """

    title: str
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    left: int = 1
    bars: Sequence[tuple[str, float]] = ()
    svg: str = ""
    note: str = ""
    is_warning: bool = False

    @property
    def longest(self) -> float:
        """The greatest number of the bars."""
        return max((value for _, value in self.bars), default=0) or 1


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
        folder = files("problems.engine.report")
        environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
        environment.filters.update(svg=Markup)
        style = Markup((folder / "report.css").read_text(encoding="utf-8"))
        template = environment.from_string((folder / "tables.html").read_text(encoding="utf-8"))
        return template.render(page=self, style=style)
