"""Intervals of the metrics of a test, and the same metrics by group of utterances."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dataset.wording import nearest
from problems.engine.runtime.errors import ConfigError
from tasks.base import Records, Task
from tasks.metrics.resampling import draws, interval, unit_codes

SPEAKER_COLUMNS = ("speaker", "spk")
GroupBy = str | Mapping[str, Sequence[float]]
"""A column, or a column of numbers with the edges of its bins."""


@dataclass
class Analysis:
    """The analysis of a test.

    Args:
        groups: what to group by.
        resamples: draws of the bootstrap; 0: no intervals.
        unit: the column that is drawn whole; None: the speaker, if the metadata have one, else each utterance.
    """

    groups: Sequence[GroupBy] = ()
    resamples: int = 1000
    unit: str | None = None
    _columns: dict[str, Sequence[Any]] = field(default_factory=dict, repr=False)

    def check(self, dataset: Any) -> None:
        """Take the columns that are needed from a dataset.

        Raises:
            ConfigError: there is no such column, a cell of one with bins is no number, or the edges do not rise.
        """
        self._columns = {}
        for group in self.groups:
            name, edges = _parsed(group)
            self._columns[_title(group)] = (
                _column(dataset, name, "evaluate.groups") if edges is None else _binned(dataset, name, edges)
            )
        if self.unit is not None:
            self._columns[""] = _column(dataset, self.unit, "evaluate.unit")

    def run(self, task: Task, mode: str, records: Records, dataset: Any, indices: Sequence[int]) -> dict[str, Any]:
        """The entries of result.json: ``intervals``, ``resampling`` and ``groups``; those that are known.

        Args:
            records: of the utterances ``indices`` of ``dataset``, in this order.
        """
        masks = dict(self._masks(task, indices))
        name, units = self._units(task, mode, records, dataset, indices)
        codes = unit_codes(units)
        resamples = self.resamples if codes.max() > 0 else 0
        everything = np.ones((1, len(codes)))
        values = {key: _measured(task, mode, records, everything, mask) for key, mask in masks.items()}
        drawn: dict[Any, list[dict[str, np.ndarray]]] = {key: [] for key in (None, *masks)}
        for weights in draws(codes, resamples, width=task.width(mode)):
            drawn[None].append(_measured(task, mode, records, weights, None))
            for key, mask in masks.items():
                drawn[key].append(_measured(task, mode, records, weights, mask))
        result: dict[str, Any] = {}
        if drawn[None] and drawn[None][0]:
            result["intervals"] = _intervals(drawn[None])
            result["resampling"] = {"unit": name, "units": int(codes.max()) + 1, "resamples": resamples}
        for (title, value), mask in masks.items():
            metrics = {metric: float(number[0]) for metric, number in values[title, value].items()}
            entry = {"utterances": _count(mask), "metrics": metrics, "intervals": _intervals(drawn[title, value])}
            result.setdefault("groups", {}).setdefault(title, {})[value] = entry
        return result

    def _units(
        self, task: Task, mode: str, records: Records, dataset: Any, indices: Sequence[int]
    ) -> tuple[str, Sequence[str]]:
        """The kind of unit that is drawn, and the unit of each utterance."""
        if self.unit is not None:
            return self.unit, [self._columns[""][index] for index in indices]
        known = task.units(mode, records)
        if known is not None:
            return "speaker", known
        metadata = metadata_of(dataset)
        for name in SPEAKER_COLUMNS:
            if name in columns_of(metadata):
                values = metadata.column(name)
                speakers = [values[index] for index in indices]
                if len(set(speakers)) > 1:
                    return "speaker", [speaker or f"utterance {i}" for speaker, i in zip(speakers, indices)]
        return "utterance", list(records["id"])

    def _masks(self, task: Task, indices: Sequence[int]) -> Iterator[tuple[tuple[str, str], Any]]:
        """The utterances of each value of each group; of trials, those of both sides."""
        for group in self.groups:
            title = _title(group)
            column = self._columns[title]
            values = np.array([column[index] for index in indices], dtype=object)
            own = {value: (values == value).astype(np.float64) for value in _ordered(group, set(values))}
            if not task.paired:
                yield from (((title, value), (mask, None)) for value, mask in own.items())
                continue
            for (one, enrol), (other, test) in itertools.product(own.items(), repeat=2):
                yield (title, f"{one} / {other}"), (enrol, test)


def metadata_of(dataset: Any) -> Any:
    """The dataset with the columns, inside those that give features in place of audio."""
    while not hasattr(dataset, "column") and hasattr(dataset, "dataset"):
        dataset = dataset.dataset
    return dataset


def columns_of(metadata: Any) -> Sequence[str]:
    """The names of its columns; none if it has none."""
    return tuple(metadata.table.columns) if hasattr(metadata, "table") else ()


def _parsed(group: GroupBy) -> tuple[str, Sequence[float] | None]:
    if isinstance(group, str):
        return group, None
    is_right = isinstance(group, Mapping) and len(group) == 1
    name, edges = next(iter(group.items())) if is_right else ("", None)
    if not is_right or not isinstance(edges, Sequence) or sorted(set(edges)) != list(edges) or not edges:
        raise ConfigError(f"evaluate.groups: expected a column, or {{column: [rising edges]}}, got {group!r}")
    return str(name), edges


def _title(group: GroupBy) -> str:
    return group if isinstance(group, str) else next(iter(group))


def _bins(edges: Sequence[float]) -> list[str]:
    between = (f"{low:g} to {high:g}" for low, high in zip(edges, edges[1:]))
    return [f"below {edges[0]:g}", *between, f"from {edges[-1]:g}"]


def _ordered(group: GroupBy, values: set[str]) -> list[str]:
    """The values that occur: bins from low to high, others in alphabetical order."""
    _, edges = _parsed(group)
    return sorted(values) if edges is None else [text for text in _bins(edges) if text in values]


def _column(dataset: Any, name: str, key: str) -> Sequence[Any]:
    metadata = metadata_of(dataset)
    known = columns_of(metadata)
    if name not in known:
        found = f"the columns are {', '.join(known)}" if known else f"{type(metadata).__name__} has no columns"
        raise ConfigError(f"{key}: there is no column {name!r}{nearest(name, known)}; {found}")
    return metadata.column(name)


def _binned(dataset: Any, name: str, edges: Sequence[float]) -> Sequence[str]:
    """The bin of each utterance."""
    metadata = metadata_of(dataset)
    cells = metadata.seconds if name == "seconds" else _column(dataset, name, "evaluate.groups")
    try:
        numbers = np.array([float(cell) for cell in cells])
    except ValueError as error:
        raise ConfigError(
            f"evaluate.groups: the column {name!r} has edges, but a cell is no number ({error})"
        ) from error
    texts = _bins(edges)
    return [texts[place] for place in np.searchsorted(edges, numbers, side="right")]


def _measured(task: Task, mode: str, records: Records, weights: np.ndarray, mask: Any) -> dict[str, np.ndarray]:
    """The metrics over weights, inside a mask if there is one."""
    if mask is None:
        return task.resampled(mode, records, weights)
    enrol, test = mask
    return task.resampled(mode, records, weights * enrol, None if test is None else weights * test)


def _intervals(blocks: list[dict[str, np.ndarray]]) -> dict[str, list[float]]:
    return {
        name: list(interval(np.concatenate([block[name] for block in blocks])))
        for name in (blocks[0] if blocks else ())
    }


def _count(mask: tuple[np.ndarray, np.ndarray | None]) -> int:
    enrol, test = mask
    return int(enrol.sum() if test is None else np.maximum(enrol, test).sum())
