"""The page: one HTML file with its style and curves inside, without scripts; jinja2 escapes every text."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from problems.engine.runtime.formatting import duration


def render(context: dict[str, Any]) -> str:
    """Fill in report.html. ``plots[].svg`` is our own drawing and goes in as it is; all else is escaped."""
    folder = files("problems.engine.report")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(duration=duration)
    environment.globals.update(svg=Markup)
    style = Markup((folder / "report.css").read_text(encoding="utf-8"))
    template = environment.from_string((folder / "report.html").read_text(encoding="utf-8"))
    return template.render(style=style, **context)
