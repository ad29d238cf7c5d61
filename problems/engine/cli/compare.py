"""``python -m problems compare RUN RUN...``: several runs side by side, with paired tests, on one page."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dataset.storage.files import read_json, write_json, write_text
from problems.engine.cli.arguments import parse
from problems.engine.runtime.errors import ConfigError
from problems.engine.runtime.formatting import table

USAGE = "compare RUN RUN... [--baseline RUN] [--out FOLDER]"
UNSHOWN = ("target_dir", "cache_dir", "num_workers", "device", "start", "stop", "fresh")
COLOURS = ("#2f6fde", "#d9622b", "#5f6773", "#1c2027")


def compare(words: Sequence[str]) -> int:
    """Compare the chosen checkpoints of target folders; the first, or ``--baseline``, is what others are compared with.

    Prints the metrics and the paired tests, and writes ``comparison.html`` and ``comparison.json``.
    """
    arguments = parse(words, options=("baseline", "out"))
    options = dict(arguments.overrides)
    folders = [Path(name) for name in arguments.files]
    if "baseline" in options:
        baseline = Path(options["baseline"])
        folders = [baseline, *(folder for folder in folders if folder.resolve() != baseline.resolve())]
    if len(folders) < 2:
        raise ConfigError(f"compare needs two target folders or more: {USAGE}")
    runs = [_Finished(folder) for folder in folders]
    for run, name in zip(runs, _names(folders)):
        run.name = name
    rows = _metric_rows(runs)
    pairs = [pair for other in runs[1:] for pair in _pairs(runs[0], other)]
    print(table(["run", "test set", "metric", "value", "95% interval"], rows, left=3))
    if not pairs:
        print("\nno paired tests: the runs have no test set with the same utterances in common")
    if pairs:
        print()
        print(table(list(PAIRED), [_paired_row(*pair) for pair in pairs], left=3))
    out = Path(options.get("out", "comparison"))
    write_text(out / "comparison.html", _page(runs, rows, pairs))
    write_json(out / "comparison.json", _as_json(runs, pairs))
    print(f"\npage: {out / 'comparison.html'}", file=sys.stderr)
    return 0


class _Finished:
    """A finished run: its report, and the predictions of its chosen checkpoint."""

    def __init__(self, folder: Path):
        from problems.engine.report.read import read_run
        from tasks.metrics.kinds import from_json

        self.folder, self.name = folder, str(folder)
        try:
            self.report = read_json(folder / "report" / "results.json")
        except (OSError, ValueError):
            raise ConfigError(
                f"{folder} holds no report/results.json: expected the target folder of a finished run, such as"
                " result/asr/default"
            ) from None
        self.checkpoint = self.report["best"]["checkpoint"]
        self.declarations = from_json(self.report["declarations"])
        self.run = read_run(folder)

    @property
    def results(self) -> dict[str, dict[str, Any]]:
        """The metrics by test set."""
        return self.report["checkpoints"].get(self.checkpoint, {})

    def predictions(self, test_set: str) -> list[dict[str, str]]:
        """The rows of a test set; none if there are none."""
        from problems.engine.report.paired import read_rows

        result = self.run.results.get(self.checkpoint, {}).get(test_set)
        return read_rows(result.predictions) if result is not None and result.predictions.is_file() else []


def _names(folders: Sequence[Path]) -> list[str]:
    """The shortest endings of the paths that tell them apart."""
    parts = [folder.resolve().parts for folder in folders]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(own[-length:]) for own in parts]
        if len(set(names)) == len(names):
            return names
    raise ConfigError("compare: the same run is given twice")


def _metric_rows(runs: Sequence[_Finished]) -> list[list[str]]:
    from tasks.metrics.kinds import UNDECLARED, Count

    rows = []
    for test_set in dict.fromkeys(name for run in runs for name in run.results):
        for name in dict.fromkeys(name for run in runs for name in run.results.get(test_set, {})):
            for run in runs:
                metric, value = run.declarations.get(name, UNDECLARED), run.results.get(test_set, {}).get(name)
                if isinstance(metric, Count) or value is None:
                    continue
                bounds = run.report.get("intervals", {}).get(run.checkpoint, {}).get(test_set, {}).get(name)
                interval = metric.format_interval(bounds) if bounds else ""
                rows.append([run.name, test_set, metric.heading(name), metric.format(value), interval])
    return rows


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


def _pairs(one: _Finished, other: _Finished) -> list[tuple[_Finished, _Finished, str, Any]]:
    """Every comparison of two runs: the runs, the test set and the comparison."""
    from problems.engine.report import paired

    pairs = []
    for test_set in one.results:
        if test_set not in other.results:
            continue
        speakers = paired.speakers_of(one.folder / "data" / f"{test_set}.csv")
        found = paired.compare(one.predictions(test_set), other.predictions(test_set), one.declarations, speakers)
        pairs += [(one, other, test_set, comparison) for comparison in found]
    return pairs


def _paired_row(one: _Finished, other: _Finished, test_set: str, found: Any) -> list[str]:
    from tasks.metrics.kinds import UNDECLARED

    metric = one.declarations.get(found.metric, UNDECLARED)
    sign = "+" if found.difference > 0 else ""
    test = "" if found.test is None else f"{found.test} p = {found.test_p:.3g}"
    return [
        f"{other.name} - {one.name}",
        test_set,
        metric.heading(found.metric),
        f"{sign}{metric.format(found.difference)}",
        metric.format_interval((found.low, found.high)),
        f"{found.p:.3g}",
        test,
        metric.format(found.detectable),
        f"{found.shared:,}, by {found.unit}",
    ]


def _as_json(runs: Sequence[_Finished], pairs: Sequence[tuple[Any, ...]]) -> dict[str, Any]:
    return {
        "runs": {run.name: {"checkpoint": run.checkpoint, "results": run.results} for run in runs},
        "pairs": [
            {"baseline": one.name, "run": other.name, "test_set": test_set, **vars(found)}
            for one, other, test_set, found in pairs
        ],
    }


def _page(runs: Sequence[_Finished], rows: list[list[str]], pairs: Sequence[tuple[Any, ...]]) -> str:
    from problems.engine.report import paired
    from problems.engine.report.tables_page import Page, Section
    from tasks.metrics.kinds import UNDECLARED

    metric = runs[0].report["metric"]
    declaration = runs[0].declarations.get(metric, UNDECLARED)
    first_set = next(iter(runs[0].results), "")
    tiles = [
        (f"{run.name}: {declaration.heading(metric)}", declaration.format(run.results.get(first_set, {}).get(metric)))
        for run in runs
    ]
    page = Page("Soundstage comparison", " · ".join(run.name for run in runs), first_set, tiles=tiles)
    page.sections.append(Section("Metrics", ["run", "test set", "metric", "value", "95 % interval"], rows, left=3))
    if pairs:
        note = (
            "A difference is the second run's value minus the first's, on the utterances that both have; its interval"
            " and p are from a paired bootstrap. Detectable: the smallest difference that this test set shows in 80 %"
            " of cases."
        )
        page.sections.append(Section("Paired tests", PAIRED, [_paired_row(*pair) for pair in pairs], left=3, note=note))
    page.sections += [Section(title, svg=svg) for title, svg in _curves(runs)]
    keys = paired.differing_keys([_config(run) for run in runs])
    shown = [[key, *(json.dumps(v, ensure_ascii=False) for v in values)] for key, values in keys if key not in UNSHOWN]
    if shown:
        page.sections.append(
            Section("Settings that differ", ["key", *(run.name for run in runs)], shown, left=len(runs) + 1)
        )
    for other in runs[1:]:
        rows = paired.most_different(runs[0].predictions(first_set), other.predictions(first_set), declaration)
        header = ["utterance", "reference", runs[0].name, other.name]
        if rows:
            page.sections.append(Section(f"Where {other.name} differs most", header, rows, left=4))
    return page.render()


def _config(run: _Finished) -> dict[str, Any]:
    """The config of a run as dotted keys."""
    from problems.engine.config import yaml_text
    from problems.engine.stages.fingerprint import flatten

    return flatten(yaml_text.load(run.run.config)) if run.run.config else {}


def _curves(runs: Sequence[_Finished]) -> list[tuple[str, str]]:
    """The validation curves of every metric that all runs logged, overlaid."""
    from problems.engine.report.plots import Plot, Series, draw
    from tasks.metrics.kinds import UNDECLARED, Count

    curves = []
    for name in runs[0].run.logged_metrics("valid"):
        metric = runs[0].run.declarations.get(name, UNDECLARED)
        points = [run.run.points("valid", name) for run in runs]
        if isinstance(metric, Count) or not all(points):
            continue
        series = [
            Series(run.name, [x for x, _ in own], [y for _, y in own], colour, sparse=len(own) < 60)
            for run, own, colour in zip(runs, points, itertools.cycle(COLOURS))
        ]
        plot = draw(Plot(f"{name}.png", f"validation {metric.heading(name)}", metric, series))
        curves.append((plot.title, plot.svg))
    return curves
