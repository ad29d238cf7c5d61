"""``run --folds all``: one run for each fold of a corpus, and the mean and the deviation of their metrics."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dataset.storage.files import read_json, write_json, write_text
from problems.engine.runtime.errors import ConfigError
from problems.engine.runtime.formatting import table
from tasks.metrics.kinds import UNDECLARED, Count, from_json

log = logging.getLogger(__name__)

FOLDER, RESULT, PAGE = "folds", "folds.json", "folds.html"


def settings_of(problem: Any, config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The settings of ``prepare_data`` for each fold.

    Raises:
        ConfigError: the corpus has no folds, or not that many; or not all stages are to run.
    """
    if config["start"] not in (None, 0) or config["stop"] not in (None, 4) or config["nproc"] > 1:
        raise ConfigError("folds runs all stages of each fold in one process: leave out start, stop and nproc")
    corpus = problem.corpus(dict(config["prepare_data"]))
    if corpus is None:
        raise ConfigError(f"folds: {type(problem).__name__} prepares its data itself, so that no folds are known")
    try:
        return corpus.folds_of(None if config["folds"] == "all" else config["folds"])
    except ValueError as error:
        raise ConfigError(f"folds: {error}") from error


def run_folds(config: Mapping[str, Any], settings: list[dict[str, Any]], run: Callable[[dict[str, Any]], None]) -> None:
    """Run every fold in ``folds/<number>``, and write and print the mean of their metrics.

    Args:
        config: resolved.
        settings: of each fold, for ``prepare_data``.
        run: runs the stages of a config. Those that are done are not run again.
    """
    root = Path(config["target_dir"])
    folders = [root / FOLDER / str(number) for number in range(len(settings))]
    for number, (own, folder) in enumerate(zip(settings, folders)):
        log.info("== fold %d of %d", number + 1, len(folders))
        run({**config, "target_dir": str(folder), "prepare_data": {**config["prepare_data"], **own}})
    result = summary(folders)
    write_json(root / FOLDER / RESULT, result)
    write_text(root / FOLDER / PAGE, _page(root, result))
    print(_table(result))
    log.info("report of all folds: %s", root / FOLDER / PAGE)


def summary(folders: list[Path]) -> dict[str, Any]:
    """The metrics of each fold's chosen checkpoint on each test set, with their mean and standard deviation."""
    reports = [read_json(folder / "report" / "results.json") for folder in folders]
    by_fold = [report["checkpoints"][report["best"]["checkpoint"]] for report in reports]
    sets = {}
    for test_set in dict.fromkeys(name for tests in by_fold for name in tests):
        names = dict.fromkeys(metric for tests in by_fold for metric in tests.get(test_set, {}))
        values = {name: [tests.get(test_set, {}).get(name) for tests in by_fold] for name in names}
        sets[test_set] = {name: {"folds": own, **_spread(own)} for name, own in values.items()}
    return {"metric": reports[0]["metric"], "declarations": reports[0]["declarations"], "test_sets": sets}


def _spread(values: list[float | None]) -> dict[str, float | None]:
    known = [value for value in values if value is not None]
    if not known:
        return {"mean": None, "deviation": None}
    mean = math.fsum(known) / len(known)
    squares = math.fsum((value - mean) ** 2 for value in known)
    return {"mean": mean, "deviation": math.sqrt(squares / (len(known) - 1)) if len(known) > 1 else 0.0}


def _rows(result: Mapping[str, Any]) -> list[list[str]]:
    """A row for each test set and metric: its name, each fold, mean and deviation."""
    declarations, rows = from_json(result["declarations"]), []
    for test_set, metrics in result["test_sets"].items():
        for name, values in metrics.items():
            metric = declarations.get(name, UNDECLARED)
            if not isinstance(metric, Count):
                numbers = (*values["folds"], values["mean"], values["deviation"])
                rows.append([test_set, metric.heading(name), *map(metric.format, numbers)])
    return rows


def _header(result: Mapping[str, Any]) -> list[str]:
    folds = len(next(iter(next(iter(result["test_sets"].values())).values()))["folds"])
    return ["test set", "metric", *(f"fold {number}" for number in range(folds)), "mean", "deviation"]


def _table(result: Mapping[str, Any]) -> str:
    return table(_header(result), _rows(result), left=2)


def _page(root: Path, result: Mapping[str, Any]) -> str:
    from problems.engine.report.tables_page import Page, Section

    metric = from_json(result["declarations"]).get(result["metric"], UNDECLARED)
    tiles = [
        (f"mean {metric.heading(result['metric'])} · {test_set}", metric.format(metrics[result["metric"]]["mean"]))
        for test_set, metrics in result["test_sets"].items()
        if result["metric"] in metrics
    ]
    note = "The deviation is that of the folds (n - 1). The report of each fold is in its folder."
    section = Section("Metrics of the chosen checkpoints", _header(result), _rows(result), left=2, note=note)
    name = " / ".join(root.resolve().parts[-2:])
    return Page("Soundstage cross-validation", name, tiles=tiles, sections=[section]).render()
