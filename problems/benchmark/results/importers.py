"""The results of others as files of results: SUPERB's leaderboard as CSV, and a plain CSV."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dataset.metadata import MetadataError, read_csv
from problems.benchmark.results.schema import FORMAT
from problems.engine.runtime.errors import ConfigError

SUPERB_COLUMNS = {
    "PR_per_public": ("pr", "per", 100),
    "KS_acc_public": ("ks", "accuracy", 100),
    "IC_acc_public": ("ic", "accuracy", 100),
    "SID_acc_public": ("sid", "accuracy", 100),
    "ER_acc_public": ("er", "accuracy", 100),
    "ASR_wer_public": ("asr", "wer", 100),
    "QbE_mtwv_public": ("qbe", "mtwv", 1),
    "SF_f1_public": ("sf", "slot_type_f1", 100),
    "SF_cer_public": ("sf", "slot_value_cer", 100),
    "SV_eer_public": ("asv", "eer", 100),
    "SD_der_public": ("sd", "der", 100),
}
"""Problem, metric and scale by column of SUPERB's leaderboard. A scale of 100: its numbers are percents."""
PLAIN_COLUMNS = ("upstream", "problem", "metric", "value")
MOST_FRACTION = 2.0
"""A larger value of an error rate was a percentage."""
ABSENT = ("", "-", "null", "None")


def from_superb(path: Path, protocol: str) -> Iterator[dict[str, Any]]:
    """A file for each row of a CSV with the columns of SUPERB's leaderboard, which s3prl's users submit to.

    ``submitName`` is the encoder. Columns of other tasks are left out.

    Raises:
        ConfigError: the file is damaged, has none of the columns, or a cell that is no number.
    """
    table = _read(path, ("submitName",))
    columns = [name for name in SUPERB_COLUMNS if name in table]
    if not columns:
        raise ConfigError(f"{path} has none of the columns {', '.join(SUPERB_COLUMNS)}")
    for number, row in enumerate(table.to_dict("records")):
        results = []
        for name in columns:
            problem, metric, scale = SUPERB_COLUMNS[name]
            if row[name].strip() not in ABSENT:
                value = _number(path, number, name, row[name]) / scale
                results.append(_result(problem, metric, value))
        if results:
            yield _file(row["submitName"], "superb leaderboard", protocol, results, url=row.get("modelURL", ""))


def from_plain(path: Path, protocol: str) -> Iterator[dict[str, Any]]:
    """A file for each encoder of a CSV of ``upstream,problem,metric,value``, such as ``table.csv`` of ``superb``.

    Values are fractions, as 0.052 for 5.2 %. ``low`` and ``high``, ``test_set`` and ``learning_rate`` may follow.

    Raises:
        ConfigError: the file is damaged, lacks a column, or has a cell that is no number, or a percentage.
    """
    table = _read(path, PLAIN_COLUMNS)
    by_label: dict[str, list[dict[str, Any]]] = {}
    for number, row in enumerate(table.to_dict("records")):
        if row["value"].strip() in ABSENT:
            continue
        value = _number(path, number, "value", row["value"])
        if (row["problem"], row["metric"], 100) in SUPERB_COLUMNS.values() and value > MOST_FRACTION:
            raise ConfigError(
                f"{path}, row {number + 2}: {row['metric']} is {row['value']}: expected a fraction, as 0.052 for 5.2 %"
            )
        ends = [row.get(name, "").strip() for name in ("low", "high")]
        interval = [_number(path, number, name, end) for name, end in zip(("low", "high"), ends)] if all(ends) else None
        rate = row.get("learning_rate", "").strip()
        more = {
            "interval": interval,
            "test_set": row.get("test_set") or None,
            "learning_rate": _number(path, number, "learning_rate", rate) if rate else None,
        }
        by_label.setdefault(row["upstream"], []).append(_result(row["problem"], row["metric"], value, more))
    for label, results in by_label.items():
        yield _file(label, path.name, protocol, results)


IMPORTERS = {"s3prl": from_superb, "csv": from_plain}


def _read(path: Path, columns: Sequence[str]) -> Any:
    try:
        return read_csv(path, columns)
    except MetadataError as error:
        raise ConfigError(str(error)) from error
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error


def _number(path: Path, number: int, column: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f"{path}, row {number + 2}: {column} is {text!r}: expected a number")
    return value


def _result(problem: str, metric: str, value: float, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    unknown = dict.fromkeys(("interval", "test_set", "test_ids_sha256", "learning_rate"))
    return {"problem": problem, "metric": metric, "value": value, **unknown, **(more or {}), "settings": {}}


def _file(label: str, source: str, protocol: str, results: list[dict[str, Any]], url: str = "") -> dict[str, Any]:
    upstream = {"label": label, "name": None, "conf": {}, "revision": None, "url": url if url.strip("- ") else None}
    return {
        **{"format": FORMAT, "protocol": protocol, "source": source},
        **{"upstream": upstream, "versions": {}, "results": results},
    }
