"""Compare the predictions of two runs on the same utterances or trials: differences, intervals and tests."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tasks.metrics.kinds import UNDECLARED, Metric
from tasks.metrics.resampling import (
    WeightedTrials,
    difference,
    joined,
    matched_pairs,
    mcnemar,
    ratio,
    resampled,
    trial_weights,
    unit_codes,
)

RESAMPLES = 1000
TRIAL = ("id1", "id2")
Row = Mapping[str, str]


@dataclass
class Comparison:
    """Two systems on one test set and metric; other numbers as :func:`tasks.metrics.resampling.difference`.

    test: the name of a second test, and ``test_p`` its p-value; None if there is none. shared: how many utterances or
    trials both have; unit: what was drawn.
    """

    metric: str
    one: float
    other: float
    difference: float
    low: float
    high: float
    p: float
    detectable: float
    test: str | None
    test_p: float | None
    shared: int
    unit: str


def compare(
    one: Sequence[Row], other: Sequence[Row], declarations: Mapping[str, Metric], speakers: Mapping[str, str]
) -> list[Comparison]:
    """Compare two tables of predictions on the rows that both have.

    Args:
        one, other: the rows of ``predictions.csv``.
        declarations: of the metrics; those that are declared with ``of`` are compared.
        speakers: by utterance, as far as they are known.
    """
    if one and set(TRIAL) <= one[0].keys():
        return _of_trials(one, other)
    rows, others = {row["id"]: row for row in one}, {row["id"]: row for row in other}
    ids = [id for id in rows if id in others]
    if not ids:
        return []
    units = [speakers.get(id, "") or id for id in ids]
    unit = "speaker" if len(set(units)) < len(ids) else "utterance"
    codes = unit_codes(units)
    results = []
    for name, metric in declarations.items():
        columns = _columns(metric, rows[ids[0]], others[ids[0]])
        if columns is None:
            continue
        top, bottom = columns
        tops = [_numbers(table, ids, top) for table in (rows, others)]
        below = [None if bottom is None else _numbers(table, ids, bottom) for table in (rows, others)]
        values = [float(ratio(np.ones((1, len(ids))), t, b)[0]) for t, b in zip(tops, below)]
        drawn = (
            resampled(
                lambda w, tops=tops, below=below: {"d": ratio(w, tops[1], below[1]) - ratio(w, tops[0], below[0])},
                codes,
                RESAMPLES if len(set(units)) > 1 else 0,
            )
            if len(set(units)) > 1
            else {"d": np.empty(0)}
        )
        test, p = _second_test(*tops)
        results.append(
            Comparison(
                name, *values, **difference(*values, drawn["d"]), test=test, test_p=p, shared=len(ids), unit=unit
            )
        )
    return results


@dataclass(frozen=True)
class Contrast:
    """An utterance, or a trial, on which two systems differ; ids: of the utterance, or of both sides."""

    ids: Sequence[str]
    reference: str
    hypotheses: tuple[str, str]
    values: tuple[str, str]

    @property
    def id(self) -> str:
        """The name of the utterance or trial."""
        return " / ".join(self.ids)


def most_different(one: Sequence[Row], other: Sequence[Row], metric: Metric, count: int = 20) -> list[Contrast]:
    """The utterances that the systems differ most on by the metric; trials by their calibrated ratios."""
    if one and set(TRIAL) <= one[0].keys():
        return _different_trials(one, other, count)
    rows, others = {row["id"]: row for row in one if "id" in row}, {row["id"]: row for row in other if "id" in row}
    ids = [id for id in rows if id in others]
    columns = _columns(metric, rows[ids[0]], others[ids[0]]) if ids else None
    if columns is None:
        return []
    tops = [_numbers(table, ids, columns[0]) for table in (rows, others)]
    return [
        Contrast(
            [ids[p]],
            rows[ids[p]].get("reference", ""),
            (rows[ids[p]].get("hypothesis", ""), others[ids[p]].get("hypothesis", "")),
            (_shown(columns[0], tops[0][p]), _shown(columns[0], tops[1][p])),
        )
        for p in _largest(tops[1] - tops[0], ids, count)
    ]


def _different_trials(one: Sequence[Row], other: Sequence[Row], count: int) -> list[Contrast]:
    """The trials whose log likelihood ratios differ most; none unless both systems are calibrated."""
    tables = [{(row["id1"], row["id2"]): row for row in rows if row.get("llr")} for rows in (one, other)]
    keys = [key for key in tables[0] if key in tables[1]]
    ratios = [np.array([float(table[key]["llr"]) for key in keys]) for table in tables]
    return [
        Contrast(
            keys[p],
            "same speaker" if tables[0][keys[p]]["label"] in ("1", "target") else "different speakers",
            ("", ""),
            (_shown("llr", ratios[0][p]), _shown("llr", ratios[1][p])),
        )
        for p in _largest(ratios[1] - ratios[0], keys, count)
    ]


def _largest(gaps: np.ndarray, ids: Sequence[Any], count: int) -> list[int]:
    """The places of the largest differences that are not zero, the largest first."""
    return sorted((place for place in range(len(ids)) if gaps[place]), key=lambda p: (-abs(gaps[p]), ids[p]))[:count]


def _shown(name: str, value: float) -> str:
    return f"{name.replace('_', ' ')} {UNDECLARED.format(value)}"


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a ``predictions.csv``."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def speakers_of(csv_path: Path) -> dict[str, str]:
    """The speaker of each utterance of a test set; empty if they are not known."""
    if not csv_path.is_file():
        return {}
    rows = read_rows(csv_path)
    column = next((name for name in ("speaker", "spk") if rows and name in rows[0]), None)
    return {row["id"]: row[column] for row in rows} if column else {}


def _columns(metric: Metric, *rows: Row) -> tuple[str, str | None] | None:
    if metric.of is None or any(name is not None and name not in row for name in metric.of for row in rows):
        return None
    return metric.of


def _numbers(rows: Mapping[str, Row], ids: Sequence[str], column: str) -> np.ndarray:
    words = {"True": "1", "False": "0", "": "nan"}
    return np.array([float(words.get(rows[id][column], rows[id][column])) for id in ids])


def _second_test(one: np.ndarray, other: np.ndarray) -> tuple[str, float]:
    """McNemar's test for right and wrong, the matched-pairs test for numbers of errors."""
    if set(np.unique([one, other])) <= {0.0, 1.0}:
        return "McNemar", mcnemar(one > 0, other > 0)
    return "matched pairs", matched_pairs(one, other)


def _of_trials(one: Sequence[Row], other: Sequence[Row]) -> list[Comparison]:
    """The equal error rates on the trials that both have; whole speakers are drawn."""
    tables = [{(row["id1"], row["id2"]): row for row in rows} for rows in (one, other)]
    keys = [key for key in tables[0] if key in tables[1]]
    targets = np.array([tables[0][key]["label"] in ("1", "target") for key in keys])
    if not keys or targets.all() or not targets.any():
        return []
    ids = sorted({id for key in keys for id in key})
    row_of = {id: row for row, id in enumerate(ids)}
    enrol, test = (np.array([row_of[key[side]] for key in keys]) for side in (0, 1))
    codes = joined(len(ids), enrol[targets], test[targets])
    systems = [WeightedTrials(np.array([float(t[key]["score"]) for key in keys]), targets) for t in tables]

    def measure(weights: np.ndarray) -> dict[str, np.ndarray]:
        counts = trial_weights(weights[:, enrol], weights[:, test], targets)
        values = [system.eer(*system.rates(counts)) for system in systems]
        return {"one": values[0], "other": values[1], "d": values[1] - values[0]}

    point = measure(np.ones((1, len(ids))))
    values = float(point["one"][0]), float(point["other"][0])
    drawn = resampled(measure, codes, RESAMPLES, width=len(keys))["d"]
    entry = difference(*values, drawn)
    return [Comparison("eer", *values, **entry, test=None, test_p=None, shared=len(keys), unit="speaker")]


def differing_keys(configs: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Any]]]:
    """The dotted keys of configs whose values are not all equal, with each value."""
    keys = dict.fromkeys(key for config in configs for key in config)
    rows = [(key, [config.get(key) for config in configs]) for key in keys]
    return [(key, values) for key, values in rows if any(value != values[0] for value in values)]
