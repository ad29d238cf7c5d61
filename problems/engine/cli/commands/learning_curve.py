"""``run --learning_curve``: the same problem on 10, 30 and 100 % of its training set, and the metric of each."""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dataset.storage.files import read_json, write_json
from problems.engine.report.read import LEARNING_CURVE
from problems.engine.runtime.errors import ConfigError
from problems.engine.runtime.formatting import table
from tasks.metrics.kinds import UNDECLARED, from_json

log = logging.getLogger(__name__)

PARTS = (0.1, 0.3)


def check(config: Mapping[str, Any]) -> None:
    """Check that the parts can be compared.

    Raises:
        ConfigError: the run has a part of the training set only, not all stages, or several processes, folds or seeds.
    """
    wrong = {
        "prepare_data.train_fraction": config["prepare_data"].get("train_fraction") is not None,
        "start": config["start"] not in (None, 0),
        "stop": config["stop"] not in (None, 4),
        "nproc": config["nproc"] > 1,
        "folds": config["folds"] is not None,
        "seeds": config["seeds"] is not None,
    }
    for key, is_set in wrong.items():
        if is_set:
            raise ConfigError(f"learning_curve runs all stages on parts of the training set: leave out {key}")


def run_parts(config: Mapping[str, Any], run: Callable[[dict[str, Any]], None]) -> None:
    """Run on each part in ``learning_curve/<part>``, then on all data, and write and print the metrics.

    Args:
        config: resolved.
        run: runs the stages of a config. Those that are done are not run again.
    """
    root = Path(config["target_dir"])
    folders = [root / "learning_curve" / f"{part:.0%}" for part in PARTS]
    for part, folder in zip(PARTS, folders):
        log.info("== learning curve: %.0f %% of the training set", 100 * part)
        data = config["prepare_data"] | {"train_fraction": part}
        run({**config, "target_dir": str(folder), "prepare_data": data})
    log.info("== learning curve: the whole training set")
    run(dict(config))
    points = [_point(folder) for folder in (*folders, root)]
    write_json(root / LEARNING_CURVE, {"metric": points[-1].pop("metric"), "points": points})
    run({**config, "fresh": False})  # the report, with the curve
    print(_table(root))


def _point(folder: Path) -> dict[str, Any]:
    """The metric of a finished run, and how many utterances it was trained on."""
    report = read_json(folder / "report" / "results.json")
    metric, checkpoint = report["metric"], report["best"]["checkpoint"]
    with open(folder / "data" / "train.csv", newline="", encoding="utf-8") as file:
        utterances = sum(1 for _ in csv.DictReader(file))
    baselines = {
        test_set: {model: metrics[metric] for model, metrics in models.items() if metric in metrics}
        for test_set, models in report["baselines"].items()
    }
    results = {test_set: metrics[metric] for test_set, metrics in report["checkpoints"][checkpoint].items()}
    return {"metric": metric, "utterances": utterances, "results": results, "baselines": baselines}


def _table(root: Path) -> str:
    curve = read_json(root / LEARNING_CURVE)
    declarations = from_json(read_json(root / "report" / "results.json")["declarations"])
    metric = declarations.get(curve["metric"], UNDECLARED)
    rows = []
    for point in curve["points"]:
        for test_set, value in point["results"].items():
            values = (value, *point["baselines"].get(test_set, {}).values())
            rows.append([f"{point['utterances']:,}", test_set, *map(metric.format, values)])
    models = next(iter(curve["points"][-1]["baselines"].values()), {})
    return table(["training utterances", "test set", metric.heading(curve["metric"]), *models], rows, left=2)
