"""Several validation sets: the metrics of each of them, beside those of all utterances together.

The sets are the values of the column ``corpus`` of the validation data, if there are at least two. The WER of the set
``digits`` is called ``wer/digits``, in the history, in the log and as ``train.valid_metric``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from problems.engine.loops.analysis import columns_of, metadata_of
from problems.engine.report.history import of_set
from tasks.base import Records, Task
from tasks.metrics.kinds import Metric

COLUMN = "corpus"


def sets_of(dataset: Any) -> np.ndarray | None:
    """Return the set of each utterance of a dataset, (N,) strings; None without several sets."""
    metadata = metadata_of(dataset)
    if COLUMN not in columns_of(metadata):
        return None
    sets = np.asarray(metadata.column(COLUMN))
    return sets if len(set(sets.tolist())) > 1 else None


def metrics_by_set(task: Task, mode: str, records: Records, sets: np.ndarray) -> dict[str, float]:
    """Return the metrics of each set that a weighting of the utterances gives (:meth:`Task.resampled`); no counts.

    Args:
        records: of the utterances of which ``sets`` are the sets, in this order.
    """
    metrics = {}
    for name in sorted(set(sets.tolist())):
        values = task.resampled(mode, records, (sets == name).astype(np.float64)[None])
        metrics |= {of_set(metric, name): float(value[0]) for metric, value in values.items()}
    return metrics


def with_declarations(metrics: Mapping[str, Metric], names: Sequence[str]) -> dict[str, Metric]:
    """Return the declarations of a task's metrics with those of each set."""
    declared = dict(metrics)
    for name in names:
        for metric, own in metrics.items():
            label = f"{own.label or metric.replace('_', ' ')} {name}"
            declared[of_set(metric, name)] = dataclasses.replace(own, label=label, of=None)
    return declared
