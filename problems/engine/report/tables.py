"""Tables of a report as text: the checkpoints, the settings and the groups that were tested."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from problems.engine.report.history import of_all_sets
from problems.engine.runtime.formatting import table

if TYPE_CHECKING:
    from problems.engine.report.report import Report


def checkpoint_lines(report: Report) -> Iterator[str]:
    """A table of checkpoints, one of which was chosen on the validation set: the metric that chose, side by side."""
    choice = report.run.checkpoints
    if choice is None:
        return
    metric, results = report.metric(choice.metric), report.run.results
    of_tests = of_all_sets(choice.metric)
    test_sets = list(dict.fromkeys(test_set for name in choice.valid for test_set in results.get(name, {})))
    rows = []
    for name, valid in choice.valid.items():
        tests = [results.get(name, {}).get(test_set) for test_set in test_sets]
        values = [metric.format(own.metrics.get(of_tests)) if own else "–" for own in tests]
        rows.append([name + " *" * (name == choice.chosen), metric.format(valid.get(choice.metric)), *values])
    heading, tested = metric.heading(choice.metric), report.metric(of_tests).heading(of_tests)
    yield table(["checkpoint", f"valid {heading}", *(f"{name} {tested}" for name in test_sets)], rows, left=1)
    yield f"* best on the validation set ({choice.metric})"


def setting_lines(report: Report) -> Iterator[str]:
    """A table of the settings of each checkpoint that was tested with several."""
    for checkpoint, settings in report.run.settings.items():
        metric, of_tests = report.metric(settings.metric), of_all_sets(settings.metric)
        test_sets = list(dict.fromkeys(name for tests in settings.results.values() for name in tests))
        rows = []
        for name, valid in settings.valid.items():
            results = [settings.results.get(name, {}).get(test_set) for test_set in test_sets]
            values = [metric.format(result.metrics.get(of_tests)) if result else "–" for result in results]
            seconds = sum(result.seconds or 0 for result in results if result)
            star = " *" if name == settings.chosen else ""
            rows.append([name + star, metric.format(valid.get(settings.metric)), *values, f"{seconds:.1f} s"])
        heading, tested = metric.heading(settings.metric), report.metric(of_tests).heading(of_tests)
        header = [f"setting of {checkpoint}", f"valid {heading}", *(f"{name} {tested}" for name in test_sets), "time"]
        yield table(header, rows, left=1)
        yield f"* best on the validation set ({settings.metric})"
        yield from report.as_published(settings)


def group_lines(report: Report) -> Iterator[str]:
    """A table for each group of the chosen checkpoint."""
    name = report.headline_metric
    for test_set, result in report.run.results.get(report.chosen or "", {}).items():
        for title, values in result.groups.items():
            rows = [
                [
                    value,
                    f"{own['utterances']:,}",
                    report.metric(name).format(own["metrics"].get(name)),
                    _bounds(report, own),
                ]
                for value, own in values.items()
            ]
            heading = f"{report.metric(name).heading(name)} on {test_set}"
            yield table([title, "utterances", heading, "95% interval"], rows, left=1)


def _bounds(report: Report, group: dict[str, Any]) -> str:
    bounds = group["intervals"].get(report.headline_metric)
    return report.metric(report.headline_metric).format_interval(bounds) if bounds else ""
