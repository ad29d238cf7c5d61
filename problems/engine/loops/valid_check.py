"""A look at the validation before the first step: an error there should not come hours later."""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from dataset import seeding
from dataset.wording import nearest
from problems.engine.report.history import of_all_sets, of_set
from problems.engine.runtime.errors import ConfigError
from tasks.base import Task

Validate = Callable[..., dict[str, float]]
"""Returns the validation metrics; ``batches`` and ``workers`` limit it for a quick look."""


def check_validation(task: Task, validate: Validate, train: Mapping[str, Any], sets: Sequence[str]) -> None:
    """Validate one batch.

    Args:
        train: the config's section.
        sets: the names of the validation sets; none if there is one without a name.

    Raises:
        ConfigError: validation lacks a metric that a rule names.
    """
    with _unchanged(task):
        metrics = list(validate(batches=1, workers=0))
    of_sets = [of_set(m, name) for m in metrics if of_all_sets(m) == m for name in sets]
    metrics = list(dict.fromkeys(metrics + of_sets))  # one batch may have no utterance of a set
    keys = {"train.valid_metric": train["valid_metric"]}
    keys |= {f"train.best_rules[{n}].metric": rule["metric"] for n, rule in enumerate(train["best_rules"])}
    errors = [
        f"{key}: validation has no metric {metric!r}{nearest(metric, metrics)}; it has {', '.join(metrics)}"
        for key, metric in keys.items()
        if metric not in metrics
    ]
    if errors:
        raise ConfigError("\n".join(errors))


def validation_seconds(task: Task, validate: Validate, batches: int) -> float:
    """Estimate the time of a validation of so many batches from one of them and from up to four."""
    few, seconds = min(4, batches), []
    with _unchanged(task):
        for count in (1, few):
            began = time.monotonic()
            validate(batches=count, workers=0)
            seconds.append(time.monotonic() - began)
    of_one, of_few = seconds
    return of_one + max(0.0, of_few - of_one) * (batches - 1) / max(1, few - 1)


@contextlib.contextmanager
def _unchanged(task: Task) -> Iterator[None]:
    """Drop what the task learns from weights that nothing has trained, and the random numbers that are drawn."""
    state = copy.deepcopy(task.get_state())
    with seeding.isolated():
        yield
    task.set_state(state)
