"""Figures of a run as a whole: the time of each stage, and the weights of the upstream's layers."""

from __future__ import annotations

from typing import Any

from problems.engine.report.charts.figure import Bars
from problems.engine.report.read import Run, is_number
from problems.engine.runtime.formatting import duration
from tasks.metrics.kinds import UNDECLARED


def times(run: Run) -> Bars | None:
    """The seconds of each stage; None if none is known."""
    rows = [
        (f"{stage['number']} {_name(stage)}", float(stage["seconds"]), duration(stage["seconds"]))
        for stage in run.stages
        if is_number(stage["seconds"])
    ]
    return Bars("Time", ("stage", "time"), rows) if rows else None


def _name(stage: dict[str, Any]) -> str:
    """The name of a stage, with its status if it is not done."""
    return stage["name"] if stage["status"] == "done" else f"{stage['name']} ({stage['status']})"


def layers(run: Run) -> Bars | None:
    """The weight of each layer of the upstream; None if it weighs none."""
    rows = [(f"layer {layer}", float(weight), UNDECLARED.format(weight)) for layer, weight in run.layers.items()]
    return Bars("Weights of the layers", ("layer", "weight"), rows) if rows else None
