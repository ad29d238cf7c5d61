"""Finished runs to compare: their results, and every pair's tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset.storage.files import read_json
from problems.engine.report import paired
from problems.engine.report.read import Result, read_run
from problems.engine.runtime.errors import ConfigError
from tasks.metrics.kinds import UNDECLARED, Count, Metric, from_json

PAIRED = (
    "runs",
    "test set",
    "metric",
    "difference",
    "95% interval",
    "p (bootstrap)",
    "second test",
    "detectable",
    "on",
)


class FinishedRun:
    """A finished run: its report, and the predictions of its chosen checkpoint.

    Args:
        folder: its target folder.
        name: that tells it from the others.
    """

    def __init__(self, folder: Path, name: str):
        self.folder, self.name = folder, name
        try:
            self.report = read_json(folder / "report" / "results.json")
        except (OSError, ValueError):
            raise ConfigError(
                f"{folder} holds no report/results.json: expected the target folder of a finished run, such as"
                " result/asr/default"
            ) from None
        missing = [key for key in ("best", "metric", "checkpoints", "declarations") if key not in self.report]
        if missing:
            raise ConfigError(
                f"{folder}/report/results.json has no {missing[0]!r}: an earlier version wrote it; run stage 4 again"
                f" (run --target_dir {folder} --start 4)"
            )
        self.checkpoint = self.report["best"]["checkpoint"]
        self.declarations = from_json(self.report["declarations"])
        self.run = read_run(folder)
        self._predictions: dict[str, list[dict[str, str]]] = {}

    @property
    def results(self) -> dict[str, dict[str, Any]]:
        """The metrics by test set."""
        return self.report["checkpoints"].get(self.checkpoint, {})

    def metric(self, name: str) -> Metric:
        """The declaration of a metric."""
        return self.declarations.get(name, UNDECLARED)

    def bounds(self, test_set: str, name: str) -> Sequence[float | None] | None:
        """The bounds of the interval of a metric; None if there is none."""
        return self.report.get("intervals", {}).get(self.checkpoint, {}).get(test_set, {}).get(name)

    def result(self, test_set: str) -> Result | None:
        """The result on a test set; None if there is none."""
        return self.run.results.get(self.checkpoint, {}).get(test_set)

    def predictions(self, test_set: str) -> list[dict[str, str]]:
        """The rows of a test set; none if there are none."""
        if test_set not in self._predictions:
            result = self.result(test_set)
            is_there = result is not None and result.predictions.is_file()
            self._predictions[test_set] = paired.read_rows(result.predictions) if is_there else []
        return self._predictions[test_set]


@dataclass(frozen=True)
class Pair:
    """A comparison of two runs on one test set and metric."""

    one: FinishedRun
    other: FinishedRun
    test_set: str
    found: paired.Comparison

    @property
    def cells(self) -> list[str]:
        """The comparison as a row of a table with the header ``PAIRED``."""
        found, metric = self.found, self.one.metric(self.found.metric)
        sign = "+" if found.difference > 0 else ""
        return [
            f"{self.other.name} - {self.one.name}",
            self.test_set,
            metric.heading(found.metric),
            f"{sign}{metric.format(found.difference)}",
            metric.format_interval((found.low, found.high)),
            f"{found.p:.3g}",
            "" if found.test is None else f"{found.test} p = {found.test_p:.3g}",
            metric.format(found.detectable),
            f"{found.shared:,}, by {found.unit}",
        ]


def finished(folders: Sequence[Path]) -> list[FinishedRun]:
    """The runs of target folders, each with the shortest ending of its path that tells them apart.

    Raises:
        ConfigError: a folder holds no finished run, or is given twice.
    """
    parts = [folder.resolve().parts for folder in folders]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(own[-length:]) for own in parts]
        if len(set(names)) == len(names):
            return [FinishedRun(folder, name) for folder, name in zip(folders, names)]
    raise ConfigError("compare: the same run is given twice")


@dataclass(frozen=True)
class MetricRow:
    """A metric of a run on a test set, with the bounds of its interval."""

    run: FinishedRun
    test_set: str
    name: str
    value: float
    bounds: Sequence[float | None] | None

    @property
    def cells(self) -> list[str]:
        """Run, test set, metric, value and interval as text."""
        metric = self.run.metric(self.name)
        interval = metric.format_interval(self.bounds) if self.bounds else ""
        return [self.run.name, self.test_set, metric.heading(self.name), metric.format(self.value), interval]


def metric_rows(runs: Sequence[FinishedRun]) -> list[MetricRow]:
    """Every metric that is not a count, of all runs one after another."""
    rows = []
    for test_set in dict.fromkeys(name for run in runs for name in run.results):
        for name in dict.fromkeys(name for run in runs for name in run.results.get(test_set, {})):
            for run in runs:
                value = run.results.get(test_set, {}).get(name)
                if not isinstance(run.metric(name), Count) and value is not None:
                    rows.append(MetricRow(run, test_set, name, value, run.bounds(test_set, name)))
    return rows


def pairs_of(one: FinishedRun, other: FinishedRun) -> list[Pair]:
    """Every comparison of two runs, on the test sets that both have."""
    pairs = []
    for test_set in shared_sets(one, other):
        speakers = paired.speakers_of(one.folder / "data" / f"{test_set}.csv")
        found = paired.compare(one.predictions(test_set), other.predictions(test_set), one.declarations, speakers)
        pairs += [Pair(one, other, test_set, comparison) for comparison in found]
    return pairs


def shared_sets(one: FinishedRun, other: FinishedRun) -> list[str]:
    """The test sets that both have."""
    return [name for name in one.results if name in other.results]


def as_json(runs: Sequence[FinishedRun], pairs: Sequence[Pair]) -> dict[str, Any]:
    """The content of ``comparison.json``."""
    return {
        "runs": {run.name: {"checkpoint": run.checkpoint, "results": run.results} for run in runs},
        "pairs": [
            {"baseline": pair.one.name, "run": pair.other.name, "test_set": pair.test_set, **vars(pair.found)}
            for pair in pairs
        ],
    }
