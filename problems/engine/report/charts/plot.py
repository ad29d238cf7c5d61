"""Plots of a training: curves over steps, before they are drawn."""

from __future__ import annotations

from dataclasses import dataclass

from tasks.metrics.kinds import Metric

COLOURS = ("#2f6fde", "#c8531d", "#5f6773", "#14805a", "#8a3fc4", "#a82a6d")
"""The colours of curves on white; the style sheet of the page has their names and those on black."""
TRAIN, VALID, MUTED = 0, 1, 2
RUNS = (0, 1, 3, 4, 5, 2)
"""The colours of several runs, in their order."""


@dataclass
class Series:
    """One curve; a value that is not finite is a gap."""

    name: str
    steps: list[float]
    values: list[float]
    colour: int
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
