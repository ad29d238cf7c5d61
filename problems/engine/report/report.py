"""Stage 4 from end to end: read the target folder, choose what to show, write the report folder."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataset.files import finite, write_bytes
from problems.engine.report.read import Rule, Run, is_number, read_predictions, read_run
from problems.engine.runtime.formatting import table
from tasks.metrics.kinds import UNDECLARED, Count, Metric

if TYPE_CHECKING:
    from problems.engine.report.plots import Plot

WORST = 20
ROW = ("step", "epoch", "split")  # of the history: the place of a row, not its metrics


@dataclass
class Report:
    """``table`` to print, ``results`` as in results.json, ``page`` to open, ``notes`` on what was missing."""

    table: str
    results: dict[str, Any]
    page: Path
    notes: list[str]


def write_report(target_dir: Path, report_dir: Path, name: str | None = None) -> Report:
    """Write results.json, the plots and report.html into ``report_dir``.

    Args:
        target_dir: a target folder; whatever is missing or damaged there is left out and noted.
        report_dir: made if absent; files of the same names are replaced, each at once.
        name: the headline; by default the last two names of the target folder's path.
    """
    from problems.engine.report import page, plots

    target_dir, report_dir = Path(target_dir), Path(report_dir)
    name = name or " / ".join(target_dir.resolve().parts[-2:])
    run = read_run(target_dir)
    chosen, rule = _choose(run)
    worst = _worst(run, chosen)
    curves = [plots.draw(plot) for plot in _plots(run)]
    results = {
        "name": name,
        "best": {"checkpoint": chosen, "rule": rule.text if rule else None},
        "validation": [_validation(run, rule) for rule in run.rules],
        "checkpoints": {
            checkpoint: {test_set: result.metrics for test_set, result in tests.items()}
            for checkpoint, tests in run.results.items()
        },
        "layers": run.layers,
        "notes": run.notes,
    }
    context = {
        "name": name,
        "target": str(target_dir),
        "metric": _headline_metric(run, rule),
        "declared": partial(_declared, run),
        "plain": UNDECLARED.format,
        "chosen": chosen,
        "rule": rule,
        "validation": results["validation"],
        "columns": _columns(run),
        "results": run.results,
        "plots": curves,
        "worst": worst,
        "stages": [{"seconds": None, "name": "", "status": "", **stage} for stage in run.stages],
        "layers": run.layers,
        "environment": run.environment,
        "config": run.config,
        "notes": run.notes,
    }
    report_dir.mkdir(parents=True, exist_ok=True)
    for plot in curves:
        write_bytes(report_dir / plot.file, plot.png)
    results = finite(results)
    dumped = json.dumps(results, indent=2, ensure_ascii=False, allow_nan=False)
    write_bytes(report_dir / "results.json", (dumped + "\n").encode("utf-8", "backslashreplace"))
    write_bytes(report_dir / "report.html", page.render(context).encode("utf-8", "backslashreplace"))
    return Report(_table(run, chosen, rule), results, report_dir / "report.html", run.notes)


def _declared(run: Run, metric: str) -> Metric:
    return run.declarations.get(metric, UNDECLARED)


def _choose(run: Run) -> tuple[str | None, Rule | None]:
    """The checkpoint to headline: the best in validation; never chosen by its test results.

    Where that one was not tested: the newest tested one, and no rule.
    """
    rule = run.rules[0] if run.rules else None
    best = rule.checkpoints[0] if rule and rule.checkpoints else None
    if not run.results or best in run.results:
        return best, rule
    newest = list(run.results)[-1]
    if best is not None:
        run.notes.append(f"{best}, the best by {rule.text}, was not tested: the headline shows {newest}.")
    return newest, None


def _headline_metric(run: Run, rule: Rule | None) -> str | None:
    columns = _columns(run)
    primary = run.rules[0].metric if run.rules else None
    return primary if primary in columns else next(iter(columns), None)


def _columns(run: Run) -> list[str]:
    """Every metric of any result, in the order of their first appearance."""
    tests = (result for tests in run.results.values() for result in tests.values())
    return list(dict.fromkeys(metric for result in tests for metric in result.metrics))


def _validation(run: Run, rule: Rule) -> dict[str, Any]:
    """The best validation value by a rule, and the step that had it (null without history)."""
    step, value = _best_point(run, rule.metric, rule.direction) or (None, None)
    return {"rule": rule.text, "metric": rule.metric, "value": value, "step": step, "kept": rule.checkpoints}


def _best_point(run: Run, metric: str, direction: str) -> tuple[float, float] | None:
    points = [p for p in _points(run, "valid", metric) if math.isfinite(p[1])]
    if not points:
        return None
    return (min if direction == "min" else max)(points, key=lambda point: point[1])


def _points(run: Run, split: str, metric: str) -> list[tuple[float, float]]:
    rows = [row for row in run.history.get(split, []) if metric in row]
    values = [math.nan if row[metric] is None else row[metric] for row in rows]  # JSON's null: was not finite
    return [(row["step"], value) for row, value in zip(rows, values) if is_number(value)]


def _plots(run: Run) -> list[Plot]:
    """Loss of every split; one for each validation metric that is not a count; the learning rate."""
    from problems.engine.report.plots import TRAIN, VALID, Plot, Series

    def series(split: str, metric: str) -> list[Series]:
        points = _points(run, split, metric)
        if not points:
            return []
        colour = TRAIN if split == "train" else VALID
        name = "training" if split == "train" else "validation" if split == "valid" else split
        return [Series(name, *map(list, zip(*points)), colour, sparse=split != "train" and len(points) <= 60)]

    plots = []
    directions = {rule.metric: rule.direction for rule in reversed(run.rules)}
    losses = series("train", "loss") + series("valid", "loss")
    if losses:
        best = _best_point(run, "loss", directions["loss"]) if "loss" in directions else None
        known = [v for one in losses for v in one.values if math.isfinite(v)]
        wide = bool(known) and min(known) > 0 and max(known) > 20 * min(known)
        plots.append(
            Plot(
                "loss.png", "loss (log scale)" if wide else "loss", _declared(run, "loss"), losses, log=wide, best=best
            )
        )
    names = dict.fromkeys(key for row in run.history.get("valid", []) for key in row if key not in ROW)
    taken: set[str] = set()
    for metric in names:
        declared, points = _declared(run, metric), series("valid", metric)
        if metric == "loss" or isinstance(declared, Count) or not points:
            continue
        file = "valid_" + re.sub(r"[^A-Za-z0-9_.-]", "_", metric)
        while file in taken:
            file += "_"
        taken.add(file)
        best = _best_point(run, metric, directions[metric]) if metric in directions else None
        title = f"validation {declared.heading(metric)}"
        plots.append(Plot(file + ".png", title, declared, points, best=best))
    rates = series("train", "lr")
    return plots + ([Plot("learning_rate.png", "learning rate", UNDECLARED, rates)] if rates else [])


def _worst(run: Run, chosen: str | None) -> list[dict[str, Any]]:
    from problems.engine.report.worst_utterances import worst_utterances

    found = []
    for test_set, result in run.results.get(chosen or "", {}).items():
        rows = read_predictions(result.predictions, run.notes)
        if rows is not None:
            found.append({"test_set": test_set, "of": len(rows), "utterances": worst_utterances(rows, WORST)})
    return found


def _table(run: Run, chosen: str | None, rule: Rule | None) -> str:
    """The results as plain text, then the notes."""
    columns = _columns(run)
    rows = [
        [f"{checkpoint} *" if rule and checkpoint == chosen else checkpoint, test_set]
        + [_declared(run, metric).format(result.metrics.get(metric)) for metric in columns]
        for checkpoint, tests in run.results.items()
        for test_set, result in tests.items()
    ]
    lines = [table(["checkpoint", "test set", *columns], rows, left=2)] if rows else []
    if rows and rule:
        lines.append(f"* best in validation by {rule.text}")
    return "\n".join(lines + [f"note: {note}" for note in run.notes])
