"""Read a target folder for the report; anything missing or damaged is noted and left out."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from problems.engine.report.history import HISTORY, parse_history, read_samples
from problems.engine.runtime.checkpoint_names import name_of
from tasks.metrics.kinds import Metric, from_json

Number = int | float
BASELINES = "baselines.json"
"""The metrics of trivial models, in ``evaluate/``."""
CHOICE = "settings.json"
"""The validation of each setting of a test, and the one that was chosen, in ``evaluate/<checkpoint>/``."""
CHECKPOINTS = "checkpoints.json"
"""The validation of each of several tested checkpoints, and the one that was chosen, in ``evaluate/``."""
LEARNING_CURVE = "learning_curve/learning_curve.json"
"""The metric on growing parts of the training set, in the target folder."""
FEW = 10
"""Speakers, or other units, below which a bootstrap says little."""
ROW_KEYS = ("step", "epoch", "split")  # the place of a row in the history; its other keys are metrics


@dataclass
class Result:
    """The result of one checkpoint on one test set.

    predicts: what the task declares that it predicts; intervals: of the metrics; resampling: the ``unit`` that was
    drawn, with ``units`` and ``resamples``; groups: by title and value, ``utterances``, ``metrics`` and ``intervals``.
    """

    metrics: dict[str, Number | None]
    seconds: Number | None
    predictions: Path
    predicts: str
    intervals: dict[str, list[Number | None]] = field(default_factory=dict)
    resampling: dict[str, Any] = field(default_factory=dict)
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass
class Settings:
    """A checkpoint that was tested with several settings.

    chosen: the one that was best on the validation set by ``metric``; valid: the validation metrics of each;
    results: by setting and test set.
    """

    metric: str
    chosen: str
    valid: dict[str, dict[str, Number | None]]
    results: dict[str, dict[str, Result]] = field(default_factory=dict)


@dataclass
class Checkpoints:
    """Several checkpoints that were tested, of which one was chosen on the validation set.

    chosen: the best by ``metric``, whose better direction is ``better``; valid: the validation metrics of each.
    """

    metric: str
    better: str
    chosen: str
    valid: dict[str, dict[str, Number | None]]


@dataclass
class Rule:
    """A best-model rule: the metric, ``"min"`` or ``"max"``, and its checkpoints, the best first."""

    text: str
    metric: str
    direction: str
    checkpoints: list[str]


@dataclass
class Run:
    """The content of a target folder.

    history: the rows of each split, by rising step; samples: those of each validation; results: by checkpoint and test
    set, of the chosen setting if there are several; settings: of such a checkpoint; checkpoints: if one of several was
    chosen; baselines: metrics by test set and trivial model; learning_curve: ``metric``, and ``points`` with
    ``utterances``, ``results`` and ``baselines`` by test set; notes: what is missing or damaged.
    """

    declarations: dict[str, Metric] = field(default_factory=dict)
    history: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    samples: list[dict[str, Any]] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    results: dict[str, dict[str, Result]] = field(default_factory=dict)
    settings: dict[str, Settings] = field(default_factory=dict)
    checkpoints: Checkpoints | None = None
    baselines: dict[str, dict[str, dict[str, Number]]] = field(default_factory=dict)
    learning_curve: dict[str, Any] = field(default_factory=dict)
    stages: list[dict[str, Any]] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    layers: dict[str, Number] = field(default_factory=dict)
    config: str = ""
    notes: list[str] = field(default_factory=list)

    def logged_metrics(self, split: str) -> list[str]:
        """The metrics in the history of a split, in the order of their first appearance."""
        rows = self.history.get(split, [])
        return list(dict.fromkeys(key for row in rows for key in row if key not in ROW_KEYS))

    def points(self, split: str, metric: str) -> list[tuple[float, float]]:
        """(step, value) of a metric in the history; NaN if the value was not finite."""
        rows = [row for row in self.history.get(split, []) if metric in row]
        values = [math.nan if row[metric] is None else row[metric] for row in rows]
        return [(row["step"], value) for row, value in zip(rows, values) if is_number(value)]

    def best_point(self, rule: Rule) -> tuple[float, float] | None:
        """The (step, value) with the best validation value by a rule; None without finite values.

        Of equal values it is the one of the rule's best checkpoint, or else the first.
        """
        points = [point for point in self.points("valid", rule.metric) if math.isfinite(point[1])]
        if not points:
            return None
        best = (min if rule.direction == "min" else max)(value for _, value in points)
        ties = [(step, value) for step, value in points if value == best]
        return next((point for point in ties if rule.checkpoints[:1] == [name_of(int(point[0]))]), ties[0])


def read_run(target_dir: Path) -> Run:
    """Read everything but the predictions."""
    run = Run()
    run.declarations = from_json(_read_json(run, target_dir, "train/declarations.json", optional=True))
    _read_history(run, target_dir)
    _read_rules(run, target_dir)
    _read_results(run, target_dir)
    run.baselines = _read_json(run, target_dir, f"evaluate/{BASELINES}", optional=True).get("test_sets", {})
    run.learning_curve = _read_json(run, target_dir, LEARNING_CURVE, optional=True)
    _read_stages(run, target_dir)
    for key, value in _read_json(run, target_dir, "env.json", optional=True).items():
        run.environment[key] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    layers = _read_json(run, target_dir, "train/layer_weights.json", optional=True)
    run.layers = {layer: weight for layer, weight in layers.items() if is_number(weight)}
    config = target_dir / "config.yaml"
    if config.is_file():
        run.config = config.read_text(encoding="utf-8", errors="replace")
    return run


def natural(name: str) -> list[tuple[int, int, str]]:
    """A sort key that puts step_9 before step_10."""
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


def is_number(value: Any) -> bool:
    """True for an int or a float, but not for a bool."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _read_json(run: Run, target_dir: Path, name: str, optional: bool = False) -> dict[str, Any]:
    """The object in a file, or {} and a note; no note if an ``optional`` file is absent."""
    path = target_dir / name
    if not path.is_file():
        if not optional:
            run.notes.append(f"{name} is missing.")
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # not JSON, or not UTF-8
        run.notes.append(f"{name} cannot be read ({error}): left out.")
        return {}
    if not isinstance(value, dict):
        run.notes.append(f"{name} holds a {type(value).__name__}, expected an object: left out.")
        return {}
    return value


def _read_history(run: Run, target_dir: Path) -> None:
    train_dir = target_dir / "train"
    if not (train_dir / HISTORY).is_file():
        run.notes.append(f"No training history (train/{HISTORY}): no curves.")
        return
    rows, damaged = parse_history(train_dir)
    if damaged:
        numbers = ", ".join(map(str, damaged[:5])) + (", ..." if len(damaged) > 5 else "")
        run.notes.append(f"train/{HISTORY}: {len(damaged)} damaged line(s) left out (line {numbers}).")
    run.samples = read_samples(train_dir)
    by_step = {(str(row["split"]), row["step"]): row for row in rows}  # a step logged again after a resume counts once
    for (split, _), row in sorted(by_step.items()):
        run.history.setdefault(split, []).append(row)


def _read_rules(run: Run, target_dir: Path) -> None:
    if not (target_dir / "train").is_dir():
        return
    for text, checkpoints in _read_json(run, target_dir, "train/best.json").items():
        metric, _, direction = text.rpartition(" ")
        if direction in ("min", "max") and isinstance(checkpoints, list):
            run.rules.append(Rule(text, metric, direction, [str(c) for c in checkpoints]))
        else:
            run.notes.append(f"train/best.json: {text!r} is not a rule such as 'wer min': left out.")


def _read_results(run: Run, target_dir: Path) -> None:
    for checkpoint in _folders(target_dir / "evaluate"):
        choice = _read_json(run, target_dir, f"evaluate/{checkpoint.name}/{CHOICE}", optional=True)
        settings = None
        if choice:
            valid = {name: own["valid"] for name, own in choice["settings"].items()}
            settings = run.settings[checkpoint.name] = Settings(choice["metric"], choice["chosen"], valid)
        for test_set in _folders(checkpoint):
            ways = [way for way in _folders(test_set) if settings is not None and way.name in settings.valid]
            for folder in ways or [test_set]:
                result = _read_result(run, target_dir, folder)
                if result is None:
                    continue
                if ways:
                    settings.results.setdefault(folder.name, {})[test_set.name] = result
                if not ways or folder.name == settings.chosen:
                    run.results.setdefault(checkpoint.name, {})[test_set.name] = result
    choice = _read_json(run, target_dir, f"evaluate/{CHECKPOINTS}", optional=True)
    if choice:
        valid = {name: own["valid"] for name, own in choice["checkpoints"].items()}
        run.checkpoints = Checkpoints(choice["metric"], choice["better"], choice["chosen"], valid)
    if not run.results:
        run.notes.append("No results (evaluate/): no checkpoint has been tested.")


def _read_result(run: Run, target_dir: Path, folder: Path) -> Result | None:
    """The result in a folder; None if there is none."""
    name = f"{folder.relative_to(target_dir).as_posix()}/result.json"
    content = _read_json(run, target_dir, name)
    if "only_batches" in content:
        run.notes.append(f"{name} covers the first {content['only_batches']} batches only (eval_batch).")
    left_out = content.get("skipped") or {}
    if left_out:
        names = ", ".join(list(left_out)[:5]) + (", ..." if len(left_out) > 5 else "")
        run.notes.append(f"{name} leaves out {len(left_out)} utterance(s) that failed (evaluate.skip_errors): {names}.")
    if not isinstance(content.get("metrics"), dict):
        if content:
            run.notes.append(f"{name} has no metrics: left out.")
        return None
    run.declarations |= from_json(content.get("declarations"))
    drawn = content.get("resampling") or {}
    if drawn.get("units", FEW) < FEW and drawn.get("unit") != "utterance":
        run.notes.append(f"{name}: its intervals are of {drawn['units']} {drawn['unit']}s only, too few to rely on.")
    return _result(content, folder)


def _result(content: dict[str, Any], folder: Path) -> Result:
    seconds = content.get("seconds")
    return Result(
        metrics={key: value for key, value in content["metrics"].items() if value is None or is_number(value)},
        seconds=seconds if is_number(seconds) else None,
        predictions=folder / "predictions.csv",
        predicts=str(content.get("predicts")),
        intervals=content.get("intervals") or {},
        resampling=content.get("resampling") or {},
        groups=content.get("groups") or {},
    )


def _folders(path: Path) -> Iterator[Path]:
    if path.is_dir():  # a leading dot marks a folder that its writer has not finished
        folders = [p for p in path.iterdir() if p.is_dir() and not p.name.startswith(".")]
        yield from sorted(folders, key=lambda p: natural(p.name))


def _read_stages(run: Run, target_dir: Path) -> None:
    """Take the stages before the report, which is itself not done yet."""
    stages = _read_json(run, target_dir, "stages.json", optional=True).get("stages")
    if isinstance(stages, dict):
        entries = [(number, entry) for number, entry in stages.items() if isinstance(entry, dict)]
        entries = [(number, entry) for number, entry in entries if entry.get("name") != "report"]
        entries.sort(key=lambda item: natural(item[0]))
        defaults = {"name": "", "status": "", "seconds": None}
        run.stages = [{**defaults, "number": number, **entry} for number, entry in entries]
