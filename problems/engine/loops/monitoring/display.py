"""The display of a training: a progress bar on a terminal, plain log lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from problems.engine.loops.monitoring.history import Sink, numbers_in
from problems.engine.report.history import TIMES, of_all_sets
from problems.engine.runtime.formatting import duration
from tasks.metrics.kinds import UNDECLARED, Count, Metric

log = logging.getLogger(__name__)


def format_metrics(values: Mapping[str, Any], declarations: Mapping[str, Metric], first: str | None = None) -> str:
    """Return the metrics on one line, each formatted as declared: ``first`` comes first, counts are left out.

    Of each of several sets there is only the metric of ``first``.
    """
    metrics = {name: declarations.get(name, UNDECLARED) for name, _ in numbers_in(values)}
    names = [name for name, metric in metrics.items() if name == first or not isinstance(metric, Count)]
    names = [name for name in names if of_all_sets(name) in (name, of_all_sets(first or ""))]
    names.sort(key=lambda name: name != first)
    return "  ".join(f"{metrics[name].heading(name)} {metrics[name].format(values[name])}" for name in names)


def _is_shown(name: str) -> bool:
    """True but for the learning rates of further parameter groups, which have a slash as losses of sets do."""
    return "/" not in name or name.startswith("loss/")


class Display(Sink):
    """Shows a training's progress and metrics.

    Args:
        step: the step to continue from.
        train: the config's section; ``total_steps`` may change.
        declarations: the task's declarations of its metrics.
    """

    def __init__(self, step: int, train: Mapping[str, Any], declarations: Mapping[str, Metric]):
        self.first_step, self.train, self.declarations = step, train, declarations
        self.started = time.monotonic()
        self.bar = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self.bar = tqdm(total=self.total_steps, initial=step, unit="step", dynamic_ncols=True, leave=False)

    @property
    def total_steps(self) -> int:
        """The last step, as planned now."""
        return self.train["total_steps"]

    def tick(self, step: int) -> None:
        """Move the bar."""
        if self.bar is not None:
            self.bar.total = self.total_steps
            self.bar.update(step - self.bar.n)

    def log(self, split: str, step: int, epoch: float, values: Mapping[str, Any]) -> None:
        """Show the metrics of a split, those of training in the bar if there is one; only losses may have a slash."""
        if split != "train":
            self._print(split, step, epoch, format_metrics(values, self.declarations, self.train["valid_metric"]))
            return
        shown = ((name, value) for name, value in numbers_in(values) if name not in TIMES and _is_shown(name))
        text = "  ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in shown)
        if self.bar is not None:
            self.bar.set_postfix_str(text)
        else:
            self._print(split, step, epoch, text + self._time_left(step))

    def show(self, step: int, samples: Sequence[Mapping[str, str]]) -> None:
        """Show the sample utterances of a validation."""
        for row in samples:
            log.info("    %s  reference: %s  hypothesis: %s", row["id"], row["reference"], row["hypothesis"])

    def _time_left(self, step: int) -> str:
        rate = (step - self.first_step) / max(time.monotonic() - self.started, 1e-9)
        if step >= self.total_steps or not rate:
            return ""
        return f"  ({rate:.3g} steps/s, {duration((self.total_steps - step) / rate)} left)"

    def _print(self, split: str, step: int, epoch: float, text: str) -> None:
        width = len(str(self.total_steps))
        log.info("  step %*d/%d  epoch %5.1f  %s  %s", width, step, self.total_steps, epoch, split, text)

    def close(self) -> None:
        """Remove the bar."""
        if self.bar is not None:
            self.bar.close()
