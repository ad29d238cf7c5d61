"""Paired tests of encoders against one of them, on the same utterances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dataset.storage.files import read_json


def paired_rows(root: Path, rows: Sequence[Mapping[str, Any]], baseline: str) -> list[list[str]]:
    """A row for each encoder, problem and metric that can be compared with those of ``baseline``."""
    from problems.engine.report import paired
    from tasks.metrics.kinds import UNDECLARED, from_json

    own = {row["problem"]: row for row in rows if row["upstream"] == baseline}
    table = []
    for row in rows:
        reference = own.get(row["problem"])
        if reference is None or row is reference:
            continue
        folders = [root / other["folder"] for other in (reference, row)]
        declarations = from_json(read_json(folders[0] / "report" / "results.json")["declarations"])
        speakers = paired.speakers_of(folders[0] / "data" / f"{row['test_set']}.csv")
        predictions = [_predictions(folder, row["test_set"]) for folder in folders]
        for found in paired.compare(*predictions, declarations, speakers):
            metric = declarations.get(found.metric, UNDECLARED)
            sign = "+" if found.difference > 0 else ""
            test = "" if found.test is None else f"{found.test} p = {found.test_p:.3g}"
            table.append(
                [
                    f"{row['upstream']} - {baseline}",
                    row["problem"],
                    metric.heading(found.metric),
                    f"{sign}{metric.format(found.difference)}",
                    metric.format_interval((found.low, found.high)),
                    f"{found.p:.3g}",
                    test,
                ]
            )
    return table


def _predictions(folder: Path, test_set: str) -> list[dict[str, str]]:
    """The predictions of a run's chosen checkpoint."""
    from problems.engine.report.paired import read_rows
    from problems.engine.report.read import read_run

    checkpoint = read_json(folder / "report" / "results.json")["best"]["checkpoint"]
    result = read_run(folder).results.get(checkpoint, {}).get(test_set)
    return read_rows(result.predictions) if result is not None and result.predictions.is_file() else []
