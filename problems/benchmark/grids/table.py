"""The table of a grid: each metric's mean and deviation over seeds and folds, with an interval."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset.storage.files import read_json
from problems.benchmark.grids.file import GridRun
from problems.benchmark.runs.passes import plain
from problems.engine.runtime.formatting import csv_text
from problems.engine.runtime.formatting import table as aligned
from tasks.metrics.kinds import UNDECLARED, Count, Metric, from_json

NOTE = (
    "Deviation: that of the runs (n - 1). Interval of 95 %: of several runs Student's t for their mean, of one run the"
    " bootstrap over its test set. Folds share training data, so that the interval over folds is a little too narrow."
)


@dataclass(frozen=True)
class Row:
    """A metric on a test set, of all runs with the same settings."""

    label: str
    settings: Mapping[str, Any]
    test_set: str
    name: str
    metric: Metric
    is_main: bool
    values: Mapping[str, float]
    """By repetition: seed and fold."""
    missing: int
    interval: tuple[float, float] | None

    @property
    def mean(self) -> float:
        """The mean over the runs."""
        return math.fsum(self.values.values()) / len(self.values)

    @property
    def deviation(self) -> float | None:
        """The deviation over the runs (n - 1); None of one run."""
        if len(self.values) < 2:
            return None
        squares = math.fsum((value - self.mean) ** 2 for value in self.values.values())
        return math.sqrt(squares / (len(self.values) - 1))


def interval_of_mean(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the mean of at least two normal values, by Student's t."""
    from scipy import stats

    mean = math.fsum(values) / len(values)
    error = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values))
    half = float(stats.t.ppf(0.975, len(values) - 1)) * error
    return mean - half, mean + half


class GridTable:
    """The results of the runs that have a report.

    Args:
        runs: of the grid.
        root: the folder that theirs are in.
    """

    def __init__(self, runs: Sequence[GridRun], root: Path):
        self.root, self.runs = root, runs
        self.keys = list(dict.fromkeys(key for run in runs for key in run.settings))
        self.reports = [_report(root / run.folder) for run in runs]
        self.rows = list(self._rows())

    def _rows(self) -> Iterator[Row]:
        groups: dict[str, list[int]] = {}
        for place, run in enumerate(self.runs):
            groups.setdefault(json.dumps([run.label, run.settings]), []).append(place)
        for places in groups.values():
            yield from self._rows_of(places)

    def _rows_of(self, places: Sequence[int]) -> Iterator[Row]:
        """The rows of runs with the same settings."""
        known = [(self.runs[place], report) for place in places if (report := self.reports[place]) is not None]
        tests = [_test_sets(report) for _, report in known]
        names = dict.fromkeys((own, name) for sets in tests for own in sets for name in sets[own])
        for test_set, name in names:
            declarations = from_json(known[0][1]["declarations"])
            metric = declarations.get(name, UNDECLARED)
            values = {
                run.repetition: value
                for (run, _), sets in zip(known, tests)
                if (value := sets.get(test_set, {}).get(name)) is not None
            }
            if isinstance(metric, Count) or not values:
                continue
            yield Row(
                label=known[0][0].label,
                settings=known[0][0].settings,
                test_set=test_set,
                name=name,
                metric=metric,
                is_main=name == known[0][1]["metric"],
                values=values,
                missing=len(places) - len(values),
                interval=self._interval(list(values.values()), known[0][1], test_set, name),
            )

    @staticmethod
    def _interval(
        values: Sequence[float], report: Mapping[str, Any], test_set: str, name: str
    ) -> tuple[float, float] | None:
        if len(values) > 1:
            return interval_of_mean(values)
        bounds = report["intervals"].get(report["best"]["checkpoint"], {}).get(test_set, {}).get(name)
        return None if bounds is None or None in bounds else tuple(bounds)

    # ---- forms ----

    @property
    def header(self) -> list[str]:
        """The heads of the columns."""
        short = [key.removeprefix("build_") for key in self.keys]
        return ["problem", *short, "test set", "metric", "runs", "mean", "deviation", "95 % interval"]

    @property
    def left(self) -> int:
        """The number of columns of text."""
        return len(self.keys) + 3

    def cells(self, row: Row) -> list[str]:
        """A row for people."""
        settings = [plain(row.settings[key]) if key in row.settings else "" for key in self.keys]
        count = f"{len(row.values)} of {len(row.values) + row.missing}" if row.missing else str(len(row.values))
        numbers = [row.metric.format(row.mean), "" if row.deviation is None else row.metric.format(row.deviation)]
        ends = "" if row.interval is None else row.metric.format_interval(row.interval)
        return [row.label, *settings, row.test_set, row.metric.heading(row.name), count, *numbers, ends]

    def text(self) -> str:
        """The metrics that choose checkpoints, for a terminal; all of them are in the other forms."""
        main = [self.cells(row) for row in self.rows if row.is_main] or [self.cells(row) for row in self.rows]
        return aligned(self.header, main, left=self.left) if main else "no run has a result"

    def csv(self) -> str:
        """A line for each metric, unrounded."""
        numbers = ["runs", "missing", "mean", "deviation", "low", "high"]
        lines: list[list[Any]] = [["problem", *self.keys, "test_set", "metric", *numbers]]
        for row in self.rows:
            settings = [json.dumps(row.settings[key]) if key in row.settings else "" for key in self.keys]
            ends = row.interval or ("", "")
            deviation = "" if row.deviation is None else row.deviation
            counts = [len(row.values), row.missing]
            lines.append([row.label, *settings, row.test_set, row.name, *counts, row.mean, deviation, *ends])
        return csv_text(lines)

    def json(self) -> dict[str, Any]:
        """Every run with its folder, and every row with the value of each run."""
        runs = [
            {
                "problem": run.label,
                **run.varied,
                "fold": run.fold,
                "folder": str(run.folder),
                "done": report is not None,
            }
            for run, report in zip(self.runs, self.reports)
        ]
        rows = [
            {
                **{"problem": row.label, "settings": dict(row.settings), "test_set": row.test_set, "metric": row.name},
                **{"values": dict(row.values), "mean": row.mean, "deviation": row.deviation, "interval": row.interval},
            }
            for row in self.rows
        ]
        return {"runs": runs, "rows": rows}

    def page(self, name: str) -> str:
        """The table as one HTML page, with the runs that have no result."""
        from problems.engine.report.tables_page import Page, Section

        tables = [Section("Results", self.header, list(map(self.cells, self.rows)), left=self.left, note=NOTE)]
        runs = [
            [str(run.folder), "done" if report is not None else "no result"]
            for run, report in zip(self.runs, self.reports)
        ]
        done = sum(report is not None for report in self.reports)
        tiles = [("runs with a result", f"{done} of {len(runs)}")]
        sections = [*tables, Section("Runs", ["folder", "state"], runs, left=2)]
        return Page("Soundstage grid", name, tiles=tiles, sections=sections).render()


def _report(folder: Path) -> dict[str, Any] | None:
    """The report of a run; None if it has none."""
    try:
        report = read_json(folder / "report" / "results.json")
    except (OSError, ValueError):
        return None
    return report if report["best"]["checkpoint"] in report["checkpoints"] else None


def _test_sets(report: Mapping[str, Any]) -> dict[str, dict[str, float | None]]:
    return report["checkpoints"][report["best"]["checkpoint"]]
