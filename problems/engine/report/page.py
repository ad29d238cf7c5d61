"""Pages: one HTML file each, with style, script, drawings and audio inside, which asks the network for nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from problems.engine.report.charts.intervals import intervals
from problems.engine.report.charts.lines import curves_figure
from problems.engine.report.figures import run as of_run
from problems.engine.report.history import of_all_sets
from problems.engine.runtime.formatting import duration
from tasks.metrics.kinds import UNDECLARED

if TYPE_CHECKING:
    from problems.engine.report.charts.plot import Plot
    from problems.engine.report.report import Report


def render(report: Report, plots: list[Plot]) -> str:
    """The page of a report."""
    return fill(
        "report.html",
        report=report,
        run=report.run,
        intervals=_group_intervals,
        of_all_sets=of_all_sets,
        all_worst=not any(listed.ranked.name.startswith("best") for test in report.tests for listed in test.lists),
        has_pictures=any(test.figures or test.confusion for test in report.tests),
        curves=[curves_figure(plot) for plot in plots],
        times=of_run.times(report.run),
        layers=of_run.layers(report.run),
    )


def _group_intervals(groups: Iterable[Mapping[str, Any]], metric: str) -> list[Markup]:
    """The intervals of a metric by group, on one scale."""
    return intervals([(own["metrics"].get(metric), own["intervals"].get(metric)) for own in groups])


def fill(template: str, **values: Any) -> str:
    """A page made of a template; all text is escaped but for our own style, script and drawings.

    A browser runs no script and takes no style but those whose digests are in the page's policy, and loads nothing.
    """
    environment = Environment(
        loader=FunctionLoader(_read),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(duration=duration, plain=UNDECLARED.format)
    style, script = _read("report.css"), _read("report.js")
    rules = {
        "default-src": "'none'",
        "style-src": _digest(style),
        "script-src": _digest(script),
        "media-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    policy = "; ".join(f"{name} {value}" for name, value in rules.items())
    inline = {"style": Markup(style), "script": Markup(script), "policy": Markup(policy)}
    return environment.get_template(template).render(**inline, **values)


def _read(name: str) -> str:
    return (files("problems.engine.report") / "templates" / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
