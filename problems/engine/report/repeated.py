"""Runs of one problem that differ in one key, as one result: each metric with its mean and deviation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from dataset.storage.files import read_json
from problems.engine.report.paired import read_rows, speakers_of
from problems.engine.report.predictions import numbers_in
from problems.engine.report.read import read_run
from problems.engine.runtime.formatting import table
from tasks.metrics.kinds import UNDECLARED, Count, Metric, from_json
from tasks.metrics.variance import VarianceParts, variance_parts

Result = dict[str, Any]
"""``metric, declarations, runs`` (their names) and ``test_sets``: by set and metric, the values of the runs by the name
of their kind, ``mean``, ``deviation``, and perhaps ``variance``, the parts of :class:`VarianceParts`."""


def summary(kind: str, folders: Mapping[str, Path], *, same_tests: bool) -> Result:
    """The metrics of the chosen checkpoint of each run on each test set, with their mean and standard deviation.

    Args:
        kind: of the runs, such as folds.
        folders: by the name of the run.
        same_tests: True if all were tested on the same utterances; the variance is then divided into its parts.
    """
    reports = [read_json(folder / "report" / "results.json") for folder in folders.values()]
    by_run = [report["checkpoints"][report["best"]["checkpoint"]] for report in reports]
    declarations = from_json(reports[0]["declarations"])
    sets: dict[str, Any] = {}
    for test_set in dict.fromkeys(name for tests in by_run for name in tests):
        names = dict.fromkeys(metric for tests in by_run for metric in tests.get(test_set, {}))
        values = {name: [tests.get(test_set, {}).get(name) for tests in by_run] for name in names}
        sets[test_set] = {name: {kind: own, **_spread(own)} for name, own in values.items()}
        if same_tests:
            chosen = {folder: report["best"]["checkpoint"] for folder, report in zip(folders.values(), reports)}
            measured = {name: metric for name, metric in declarations.items() if name in names}
            for name, parts in _variances(chosen, test_set, measured).items():
                sets[test_set][name]["variance"] = asdict(parts)
    more = {"runs": list(folders), "declarations": reports[0]["declarations"]}
    return {"metric": reports[0]["metric"], **more, "test_sets": sets}


def _spread(values: Sequence[float | None]) -> dict[str, float | None]:
    known = [value for value in values if value is not None]
    if not known:
        return {"mean": None, "deviation": None}
    mean = math.fsum(known) / len(known)
    squares = math.fsum((value - mean) ** 2 for value in known)
    return {"mean": mean, "deviation": math.sqrt(squares / (len(known) - 1)) if len(known) > 1 else 0.0}


def _variances(
    chosen: Mapping[Path, str], test_set: str, declarations: Mapping[str, Metric]
) -> dict[str, VarianceParts]:
    """The parts of the variance of each metric that is a ratio of sums over utterances, or a mean."""
    paths = [read_run(folder).results[name][test_set].predictions for folder, name in chosen.items()]
    tables = [{row["id"]: row for row in read_rows(path) if "id" in row} for path in paths]
    ids = [id for id in tables[0] if all(id in own for own in tables)]
    speakers = speakers_of(next(iter(chosen)) / "data" / f"{test_set}.csv")
    units = [speakers.get(id) or id for id in ids]
    places = {unit: place for place, unit in enumerate(dict.fromkeys(units))}
    if min(len(places), len(tables)) < 2:
        return {}
    member = np.zeros((len(ids), len(places)))
    member[np.arange(len(ids)), [places[unit] for unit in units]] = 1
    parts = {}
    for name, metric in declarations.items():
        if metric.of is None:
            continue
        columns = [[numbers_in([own[id] for id in ids], c) for own in tables] for c in metric.of if c is not None]
        if any(column is None for own in columns for column in own):
            continue
        tops, *bottoms = (np.stack(own) @ member for own in columns)
        bottom = bottoms[0] if bottoms else np.ones((len(tables), len(ids))) @ member
        if (bottom.sum(axis=1) > 0).all():
            parts[name] = variance_parts(tops, bottom)
    return parts


def text_of(kind: str, result: Result) -> str:
    """The table for a terminal."""
    lines = [table(_header(kind, result), _rows(kind, result), left=2)]
    return "\n".join([*lines, *([VARIANCE_NOTE] if _has_variance(result) else [])])


def page_of(kind: str, title: str, root: Path, result: Result) -> str:
    """The page."""
    from problems.engine.report.tables_page import Page, Section

    metric = from_json(result["declarations"]).get(result["metric"], UNDECLARED)
    tiles = [
        (f"mean {metric.heading(result['metric'])} · {test_set}", metric.format(metrics[result["metric"]]["mean"]))
        for test_set, metrics in result["test_sets"].items()
        if result["metric"] in metrics
    ]
    note = f"The deviation is that of the {kind} (n - 1). The report of each is in its folder."
    note += f" {VARIANCE_NOTE}" if _has_variance(result) else ""
    rows = _rows(kind, result)
    section = Section("Metrics of the chosen checkpoints", _header(kind, result), rows, left=2, note=note)
    name = " / ".join(root.resolve().parts[-2:])
    return Page(title, name, tiles=tiles, sections=[section]).render()


VARIANCE_NOTE = (
    "variance of one run's metric: the part of the seed, of the choice of test utterances (or speakers), and of both"
    " together (docs/results.md)"
)


def _has_variance(result: Result) -> bool:
    return any("variance" in own for metrics in result["test_sets"].values() for own in metrics.values())


def _rows(kind: str, result: Result) -> list[list[str]]:
    """A row for each test set and metric: its name, each run, mean, deviation, and the parts of the variance."""
    declarations, rows = from_json(result["declarations"]), []
    for test_set, metrics in result["test_sets"].items():
        for name, values in metrics.items():
            metric = declarations.get(name, UNDECLARED)
            if isinstance(metric, Count):
                continue
            numbers = map(metric.format, (*values[kind], values["mean"], values["deviation"]))
            shares = VarianceParts(**values["variance"]).shares if "variance" in values else ()
            parts = [" / ".join(f"{share:.0%}" for share in shares) or "–"] if _has_variance(result) else []
            rows.append([test_set, metric.heading(name), *numbers, *parts])
    return rows


def _header(kind: str, result: Result) -> list[str]:
    names = [f"{kind.removesuffix('s')} {name}" for name in result["runs"]]
    more = ["seed / test / both"] if _has_variance(result) else []
    return ["test set", "metric", *names, "mean", "deviation", *more]
