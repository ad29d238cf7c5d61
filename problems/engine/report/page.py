"""The page of a report: one HTML file with its style and plots inside, without scripts."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from problems.engine.runtime.formatting import duration
from tasks.metrics.kinds import UNDECLARED

if TYPE_CHECKING:
    from problems.engine.report.plots import Plot
    from problems.engine.report.report import Report


def render(report: Report, plots: list[Plot]) -> str:
    """Fill in report.html. The SVG of a plot is our own drawing and is not escaped; jinja2 escapes all else."""
    folder = files("problems.engine.report")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(duration=duration, plain=UNDECLARED.format, svg=Markup)
    style = Markup((folder / "report.css").read_text(encoding="utf-8"))
    template = environment.from_string((folder / "report.html").read_text(encoding="utf-8"))
    return template.render(report=report, run=report.run, plots=plots, style=style)
