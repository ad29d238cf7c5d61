"""``status``: which stages of a target folder are done, stale or missing, and its results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dataset.storage.files import read_json
from problems.engine.checkpoints.store import steps_in
from problems.engine.cli.arguments import Arguments, resolve_config
from problems.engine.loops.monitoring.display import format_metrics
from problems.engine.report.history import DECLARATIONS, TIMES, of_all_sets, read_history
from problems.engine.report.read import CHECKPOINTS
from problems.engine.runtime.formatting import duration
from problems.engine.stages.pipeline import Pipeline
from tasks.metrics.kinds import UNDECLARED, from_json


def status(problem: Any, arguments: Arguments) -> int:
    """Print the state of each stage and the results."""
    print(_describe(problem, resolve_config(problem, arguments.configs, arguments.overrides, recorded=True)))
    return 0


def _describe(problem: Any, config: dict[str, Any]) -> str:
    pipeline = Pipeline(problem, config)
    if not pipeline.root.is_dir():
        return f"{pipeline.root}: nothing has run here yet"
    entries = pipeline.manifest.load()
    lines = [f"{type(problem).__name__} in {pipeline.root}"]
    for stage in pipeline.stages:
        entry = entries.get(str(stage.number), {})
        reasons = pipeline.freshness.reasons(stage)
        took = f"{duration(entry['seconds'])}, {entry['time']}" if entry.get("status") == "done" else ""
        lines.append(f"  {stage.number} {stage.name:21} {_state(entry, reasons):12} {took}".rstrip())
        lines += [f"      {reason}" for reason in reasons if entry]
        if stage is pipeline.train_stage and steps_in(stage.output_dir):
            lines.append(f"      {_training(stage.output_dir)}")
    lines += _results(pipeline.root)
    return "\n".join(lines)


def _state(entry: dict[str, Any], reasons: list[str]) -> str:
    """The state of a stage in one word: done, missing, stale, or how its last run ended."""
    if not reasons:
        return "done"
    if not entry:
        return "missing"
    return "stale" if entry.get("status", "done") == "done" else entry["status"]


def _training(train_dir: Path) -> str:
    newest = steps_in(train_dir)[-1].name
    valid = [row for row in read_history(train_dir) if row["split"] == "valid"]
    values = {k: v for k, v in valid[-1].items() if k not in ("step", "epoch", *TIMES)} if valid else {}
    path = train_dir / DECLARATIONS
    declarations = from_json(read_json(path)) if path.exists() else {}
    return f"newest checkpoint {newest}; last validation: {format_metrics(values, declarations) or 'none yet'}"


def _results(root: Path) -> list[str]:
    lines = []
    path = root / "evaluate" / CHECKPOINTS
    choice = read_json(path) if path.is_file() else {"checkpoints": {}, "chosen": None}
    for path in sorted((root / "evaluate").rglob("result.json")):
        result, names = read_json(path), path.relative_to(root / "evaluate").parts
        setting = f" with {names[2]}" if len(names) == 4 else ""
        declared = from_json(result.get("declarations"))
        valid = choice["checkpoints"].get(names[0], {}).get("valid", {}).get(choice.get("metric"))
        known = {} if valid is None else {choice["metric"]: valid}
        declared |= {name: declared.get(name) or declared.get(of_all_sets(name), UNDECLARED) for name in known}
        validation = f"  (valid {format_metrics(known, declared, choice['metric'])})" if known else ""
        star = " *" if names[0] == choice["chosen"] else ""
        metrics = format_metrics(result["metrics"], declared)
        lines.append(f"  {names[0]}{star} on {names[1]}{setting}: {metrics}{validation}")
    if choice["chosen"]:
        lines.append(f"  * best of the tested checkpoints on the validation set ({choice['metric']})")
    return ["results:", *lines] if lines else []
