"""What the other stages left in a target folder, read without trust: what is missing or torn is noted."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.metrics.kinds import Metric, from_json

Number = int | float


@dataclass
class Result:
    """One checkpoint on one test set."""

    metrics: dict[str, Number | None]
    seconds: Number | None
    predictions: Path


@dataclass
class Rule:
    """A best-model rule: the metric, ``"min"`` or ``"max"``, and its checkpoints, the best first."""

    text: str
    metric: str
    direction: str
    checkpoints: list[str]


@dataclass
class Run:
    """A target folder. ``history`` maps a split to its rows, by rising step; ``notes`` says what is amiss."""

    declarations: dict[str, Metric] = field(default_factory=dict)
    history: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)
    results: dict[str, dict[str, Result]] = field(default_factory=dict)
    stages: list[dict[str, Any]] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    layers: dict[str, Number] = field(default_factory=dict)
    config: str = ""
    notes: list[str] = field(default_factory=list)


def read_run(target_dir: Path) -> Run:
    """Read everything but the predictions."""
    run = Run()
    run.declarations = from_json(_read_json(run, target_dir, "train/declarations.json", quiet=True))
    _read_history(run, target_dir)
    _read_rules(run, target_dir)
    _read_results(run, target_dir)
    stages = _read_json(run, target_dir, "stages.json", quiet=True).get("stages")
    if isinstance(stages, dict):
        known = [(key, stage) for key, stage in stages.items() if isinstance(stage, dict)]
        run.stages = [{"number": key, **stage} for key, stage in sorted(known, key=lambda s: natural(s[0]))]
    for key, value in _read_json(run, target_dir, "env.json", quiet=True).items():
        run.environment[key] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    layers = _read_json(run, target_dir, "train/layer_weights.json", quiet=True)
    run.layers = {layer: weight for layer, weight in layers.items() if is_number(weight)}
    config = target_dir / "config.yaml"
    if config.is_file():
        run.config = config.read_text(encoding="utf-8", errors="replace")
    return run


def read_predictions(path: Path, notes: list[str]) -> list[dict[str, str]] | None:
    """Rows with ``id``, ``reference`` and ``hypothesis``; None where there is no such file or text."""
    if not path.is_file():
        notes.append(f"{_short(path)} is missing: its utterances are not shown.")
        return None
    rows: list[dict[str, str]] = []
    torn = 0
    try:
        with open(path, newline="", encoding="utf-8", errors="replace") as file:
            reader = csv.DictReader(file)
            if not {"id", "reference", "hypothesis"} <= set(reader.fieldnames or ()):
                return None
            for row in reader:
                if None in row or None in row.values():
                    torn += 1
                else:
                    rows.append(row)
    except csv.Error as error:
        notes.append(f"{_short(path)} is damaged after row {len(rows)} ({error}): the rest is not shown.")
    if torn:
        notes.append(f"{_short(path)}: {torn} torn row(s) left out.")
    return rows


def natural(name: str) -> list[tuple[int, int, str]]:
    """A sort key by which step_9 comes before step_10."""
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


def is_number(value: Any) -> bool:
    """An int or a float of any value; a bool is neither."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _short(path: Path) -> str:
    return "/".join(path.parts[-4:])


def _read_json(run: Run, target_dir: Path, name: str, quiet: bool = False) -> dict[str, Any]:
    """The object in a file, or {} with a note (none if the file is absent and ``quiet``)."""
    path = target_dir / name
    if not path.is_file():
        if not quiet:
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
    path = target_dir / "train" / "metrics.jsonl"
    if not path.is_file():
        run.notes.append("No training history (train/metrics.jsonl): no curves.")
        return
    rows: dict[tuple[str, Number], dict[str, Any]] = {}
    damaged = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        try:
            row = json.loads(line)
            rows[str(row["split"]), _step(row)] = row  # a step logged again after a resume counts once
        except (ValueError, TypeError, KeyError):
            damaged += [number] if line.strip() else []
    if damaged:
        shown = ", ".join(map(str, damaged[:5])) + (", ..." if len(damaged) > 5 else "")
        run.notes.append(f"train/metrics.jsonl: {len(damaged)} damaged line(s) left out (line {shown}).")
    for (split, _), row in sorted(rows.items()):
        run.history.setdefault(split, []).append(row)


def _step(row: dict[str, Any]) -> Number:
    if not is_number(row["step"]):
        raise ValueError("a step is a number")
    return row["step"]


def _read_rules(run: Run, target_dir: Path) -> None:
    if not (target_dir / "train").is_dir():
        return
    for text, checkpoints in _read_json(run, target_dir, "train/best.json").items():
        metric, _, direction = text.rpartition(" ")
        if direction in ("min", "max") and isinstance(checkpoints, list):
            run.rules.append(Rule(text, metric, direction, [str(c) for c in checkpoints]))
        else:
            run.notes.append(f"train/best.json: {text!r} is no rule such as 'wer min': left out.")


def _folders(path: Path) -> Iterator[Path]:
    if path.is_dir():  # a leading dot marks a folder that a writer has not finished
        found = [p for p in path.iterdir() if p.is_dir() and not p.name.startswith(".")]
        yield from sorted(found, key=lambda p: natural(p.name))


def _read_results(run: Run, target_dir: Path) -> None:
    for checkpoint in _folders(target_dir / "evaluate"):
        for test_set in _folders(checkpoint):
            name = f"evaluate/{checkpoint.name}/{test_set.name}/result.json"
            content = _read_json(run, target_dir, name)
            metrics = content.get("metrics")
            if not isinstance(metrics, dict):
                if content:
                    run.notes.append(f"{name} has no metrics: left out.")
                continue
            if "only_batches" in content:
                run.notes.append(f"{name} is of the first {content['only_batches']} batches only (eval_batch).")
            run.declarations |= from_json(content.get("declarations"))
            seconds = content.get("seconds")
            run.results.setdefault(checkpoint.name, {})[test_set.name] = Result(
                {key: value for key, value in metrics.items() if value is None or is_number(value)},
                seconds if is_number(seconds) else None,
                test_set / "predictions.csv",
            )
    if not run.results:
        run.notes.append("No results (evaluate/): no checkpoint has been tested.")
