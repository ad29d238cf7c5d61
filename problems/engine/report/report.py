"""Report: the results of a target folder, as a table, results.json and one HTML page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset.storage.files import finite, write_bytes
from problems.engine.report.cases import save
from problems.engine.report.charts.figure import Figure
from problems.engine.report.figures.posteriors import posteriors_figure, read_posteriors
from problems.engine.report.history import of_all_sets
from problems.engine.report.rankings import Ranking
from problems.engine.report.read import Result, Rule, Run, Settings, read_run
from problems.engine.report.tables import checkpoint_lines, group_lines, setting_lines
from problems.engine.report.views import TestView, views_of
from problems.engine.runtime.formatting import table
from tasks.metrics.kinds import UNDECLARED, Metric, to_json

PAGE = "report.html"
RESULTS = "results.json"
VALIDATIONS = 10
"""Validations whose samples are shown, at most."""


@dataclass
class Report:
    """All that a report shows, for a person or a program.

    chosen: the checkpoint in the headline; rule: the best-model rule that chose it, None if it is only the newest
    tested one.
    """

    name: str
    target: Path
    run: Run
    chosen: str | None
    rule: Rule | None
    tests: list[TestView]

    @property
    def notes(self) -> list[str]:
        """Remarks on what is missing or damaged."""
        return self.run.notes

    @property
    def columns(self) -> list[str]:
        """Every metric of any result, in the order of their first appearance."""
        results = (result for tests in self.run.results.values() for result in tests.values())
        return list(dict.fromkeys(metric for result in results for metric in result.metrics))

    @property
    def headline_metric(self) -> str | None:
        """The metric that chooses checkpoints if the results have it, else their first."""
        primary = of_all_sets(self.run.rules[0].metric) if self.run.rules else None
        return primary if primary in self.columns else next(iter(self.columns), None)

    @property
    def validation(self) -> list[dict[str, Any]]:
        """For each rule the best validation value and its step; null without a history."""
        entries = []
        for rule in self.run.rules:
            step, value = self.run.best_point(rule) or (None, None)
            best = {"metric": rule.metric, "value": value, "step": step}
            entries.append({"rule": rule.text, **best, "kept": rule.checkpoints})
        return entries

    @property
    def samples(self) -> dict[str, tuple[str, list[tuple[int, str]]]]:
        """For each sample utterance its reference, and its hypotheses: from the first validation to the last."""
        rows, samples = self.run.samples, {}
        places = {round(place * (len(rows) - 1) / max(1, VALIDATIONS - 1)) for place in range(VALIDATIONS)}
        for row in (rows[place] for place in sorted(places) if rows):
            for own in row["samples"]:
                samples.setdefault(own["id"], (own["reference"], []))[1].append((row["step"], own["hypothesis"]))
        return samples

    @property
    def posteriors(self) -> dict[str, Figure | None]:
        """For each sample utterance its posteriors at the last validation, if there are any."""
        last = {own["id"]: own.get("posteriors", "") for row in self.run.samples for own in row["samples"]}
        shown = {id: read_posteriors(text) for id, text in last.items()}
        return {id: own and posteriors_figure("Posteriors at the last validation", own) for id, own in shown.items()}

    def metric(self, name: str) -> Metric:
        """The declaration of a metric; that of all sets, for one of a set that is not declared."""
        known = self.run.declarations
        return known.get(name) or known.get(of_all_sets(name), UNDECLARED)

    def to_json(self) -> dict[str, Any]:
        """The content of results.json."""
        content = {
            "name": self.name,
            "best": {"checkpoint": self.chosen, "rule": self.rule.text if self.rule else None},
            "metric": self.headline_metric,
            "validation": self.validation,
            "checkpoints": {
                checkpoint: {test_set: result.metrics for test_set, result in tests.items()}
                for checkpoint, tests in self.run.results.items()
            },
            "intervals": {
                checkpoint: {test_set: result.intervals for test_set, result in tests.items()}
                for checkpoint, tests in self.run.results.items()
            },
            "groups": {
                checkpoint: {test_set: result.groups for test_set, result in tests.items() if result.groups}
                for checkpoint, tests in self.run.results.items()
            },
            "settings": {
                checkpoint: {
                    "metric": settings.metric,
                    "chosen": settings.chosen,
                    "valid": settings.valid,
                    "test": {
                        name: {test_set: result.metrics for test_set, result in tests.items()}
                        for name, tests in settings.results.items()
                    },
                }
                for checkpoint, settings in self.run.settings.items()
            },
            "chosen_of": self.run.checkpoints and vars(self.run.checkpoints),
            "baselines": self.run.baselines,
            "declarations": to_json(self.run.declarations),
            "layers": self.run.layers,
            "notes": self.notes,
        }
        return finite(content)

    def to_text(self) -> str:
        """The results as a table, then the notes."""
        rows, headline = [], self.headline_metric
        for checkpoint, tests in self.run.results.items():
            star = " *" if self.rule and checkpoint == self.chosen else ""
            for test_set, result in tests.items():
                interval = self.interval(result, headline)
                rows.append([checkpoint + star, test_set, *self._values(result.metrics, interval)])
        for test_set, models in self.run.baselines.items():
            rows += [[model, test_set, *self._values(metrics, "")] for model, metrics in models.items()]
        columns = self._with_interval(self.columns, "95% interval")
        lines = [table(["checkpoint", "test set", *columns], rows, left=2)] if rows else []
        if rows and self.rule:
            lines.append(f"* best in validation ({self.rule.text})")
        lines += checkpoint_lines(self)
        lines += setting_lines(self)
        lines += group_lines(self)
        return "\n".join(lines + [f"note: {note}" for note in self.notes])

    def interval(self, result: Result, name: str | None) -> str:
        """The interval of a metric; empty if there is none."""
        bounds = result.intervals.get(name or "")
        return self.metric(name).format_interval(bounds) if bounds else ""

    def _values(self, metrics: Mapping[str, float | None], interval: str) -> list[str]:
        """The metrics as text, with the interval beside the one of the headline."""
        return self._with_interval([self.metric(name).format(metrics.get(name)) for name in self.columns], interval)

    def as_published(self, settings: Settings) -> Iterator[str]:
        """For each test set, the best value of any setting on that set itself, beside that of the chosen setting.

        Some protocols publish the former, such as SUPERB's for diarization. It is never used here.
        """
        metric = self.metric(settings.metric)
        for test_set in dict.fromkeys(name for tests in settings.results.values() for name in tests):
            values = {name: tests[test_set].metrics.get(settings.metric) for name, tests in settings.results.items()}
            known = {name: value for name, value in values.items() if value is not None}
            if known and values.get(settings.chosen) is not None:
                best = (max if metric.better == "higher" else min)(known, key=known.__getitem__)
                yield (
                    f"{test_set}: {metric.format(known[settings.chosen])} as chosen on the validation set;"
                    f" {metric.format(known[best])} as published where the test set chooses ({best})"
                )

    def _with_interval(self, cells: list[str], interval: str) -> list[str]:
        """Cells in the order of the columns, with that of the interval inserted if any result has one."""
        results = (result for tests in self.run.results.values() for result in tests.values())
        if not any(self.headline_metric in result.intervals for result in results):
            return cells
        place = self.columns.index(self.headline_metric) + 1
        return [*cells[:place], interval, *cells[place:]]


def write_report(target_dir: Path, report_dir: Path, name: str | None = None, worst: Sequence[Ranking] = ()) -> Report:
    """Write results.json, the plots, the lists of worst utterances and report.html into ``report_dir``.

    Args:
        target_dir: a target folder; whatever is missing or damaged there is left out and noted.
        report_dir: created if absent; each file replaces one of the same name atomically.
        name: the headline; by default the last two names of the target folder's path.
        worst: the lists to show; none: the usual one of each test set.

    Raises:
        ConfigError: a list is by a number that the utterances of a test set do not have.
    """
    from problems.engine.report import page
    from problems.engine.report.curves import curves
    from problems.engine.report.plots import draw

    target_dir, report_dir = Path(target_dir), Path(report_dir)
    run = read_run(target_dir)
    chosen, rule = _choose(run)
    report = Report(
        name=name or " / ".join(target_dir.resolve().parts[-2:]),
        target=target_dir,
        run=run,
        chosen=chosen,
        rule=rule,
        tests=views_of(run, chosen, target_dir, worst),
    )
    run.notes.extend(_unbeaten(report))
    plots = curves(run)
    for plot in plots:
        write_bytes(report_dir / plot.file, draw(plot))
    for test in report.tests:
        save(test.lists, report_dir / test.test_set, test.audio)
    dumped = json.dumps(report.to_json(), indent=2, ensure_ascii=False, allow_nan=False)
    write_bytes(report_dir / RESULTS, (dumped + "\n").encode("utf-8", "backslashreplace"))
    write_bytes(report_dir / PAGE, page.render(report, plots).encode("utf-8", "backslashreplace"))
    return report


def _unbeaten(report: Report) -> Iterator[str]:
    """A warning for each trivial model that the chosen checkpoint does not beat."""
    name = report.headline_metric
    metric = report.metric(name or "")
    for test_set, result in report.run.results.get(report.chosen or "", {}).items():
        value = result.metrics.get(name)
        for model, metrics in report.run.baselines.get(test_set, {}).items():
            baseline = metrics.get(name)
            if baseline is None or value is None or metric.better not in ("higher", "lower"):
                continue
            is_beaten = value > baseline if metric.better == "higher" else value < baseline
            is_perfect = value == baseline == (1 if metric.better == "higher" else 0)
            if not is_beaten and not is_perfect:
                yield (
                    f"WARNING: {report.chosen} does not beat a trivial model on {test_set}: {metric.heading(name)}"
                    f" {metric.format(value)}, {model} {metric.format(baseline)}. {_what_to_try(model)}"
                )


def _what_to_try(model: str) -> str:
    """What helps where this trivial model is better."""
    if "the upstream" in model:
        return "The head loses what the upstream knows: train it on more speech, or on speech closer to the test set's."
    return (
        "Train longer (--train.total_steps), try another front end (--build_upstream.conf.cmvn none or mean), or a"
        " pretrained upstream (docs/upstreams.md)."
    )


def _choose(run: Run) -> tuple[str | None, Rule | None]:
    """The checkpoint of the headline: the best in validation, never one chosen by its test results.

    If that one was not tested: the newest tested one, and no rule. Of several that were asked for, the one that their
    own validations chose.
    """
    choice = run.checkpoints
    if choice is not None and choice.chosen in run.results:
        direction = "max" if choice.better == "higher" else "min"
        return choice.chosen, Rule(f"{choice.metric} {direction}", choice.metric, direction, [choice.chosen])
    rule = run.rules[0] if run.rules else None
    best = rule.checkpoints[0] if rule and rule.checkpoints else None
    if not run.results or best in run.results:
        return best, rule
    newest = list(run.results)[-1]
    if best is not None:
        run.notes.append(f"{best}, the best in validation ({rule.text}), was not tested: the headline shows {newest}.")
    return newest, None
