"""``status``: which stages of a target folder are done, stale, missing or running, and its results."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dataset.storage.files import read_json
from problems.engine.checkpoints.store import steps_in
from problems.engine.cli.arguments import Arguments, resolve_config
from problems.engine.loops.monitoring.display import format_metrics
from problems.engine.report.history import DECLARATIONS, TIMES, of_all_sets, read_history
from problems.engine.report.read import CHECKPOINTS
from problems.engine.runtime.folder_lock import holder_of
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
    holder = holder_of(pipeline.root)
    lines = [f"{type(problem).__name__} in {pipeline.root}", *([f"  running in {holder}"] if holder else [])]
    for stage in pipeline.stages:
        entry = entries.get(str(stage.number), {})
        reasons = pipeline.freshness.reasons(stage)
        took = f"{duration(entry['seconds'])}, {entry['time']}" if entry.get("status") == "done" else ""
        lines.append(f"  {stage.number} {stage.name:21} {_state(entry, reasons, holder):12} {took}".rstrip())
        lines += [f"      {reason}" for reason in reasons if entry]
        if stage is pipeline.train_stage:
            lines += [f"      {line}" for line in _training(stage.output_dir)]
    lines += _results(pipeline.root)
    return "\n".join(lines)


def _state(entry: dict[str, Any], reasons: list[str], holder: str | None) -> str:
    """The state of a stage in a word or two: done, missing, stale, running, or how its last run ended."""
    if not reasons:
        return "done"
    if not entry:
        return "missing"
    words = {"done": "stale", "started": "running" if holder else "cut off"}
    status = entry.get("status", "done")
    return words.get(status, status)


def _training(train_dir: Path) -> Iterator[str]:
    """The last step in the history, and the newest checkpoint with the last validation."""
    history, checkpoints = read_history(train_dir), steps_in(train_dir)
    if history:
        yield f"last logged step {history[-1]['step']}"
    if checkpoints:
        valid = [row for row in history if row["split"] == "valid"]
        values = {k: v for k, v in valid[-1].items() if k not in ("step", "epoch", *TIMES)} if valid else {}
        path = train_dir / DECLARATIONS
        metrics = format_metrics(values, from_json(read_json(path)) if path.exists() else {})
        yield f"newest checkpoint {checkpoints[-1].name}; last validation: {metrics or 'none yet'}"


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
