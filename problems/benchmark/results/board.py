"""The leaderboard: one static page from files of results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from problems.benchmark.results import schema
from problems.benchmark.table import Table
from problems.benchmark.tasks import TASKS
from problems.engine.report.tables_page import Page, Section
from problems.engine.runtime.errors import ConfigError

TITLES = {"superb": "SUPERB", "quick": "SUPERB, quick", "toy": "Toy corpora"}
NOTES = {
    "superb": "Score: 0 is FBANK, 1000 is WavLM Large, as published; the mean over problems. A gap has no score.",
    "quick": "Parts of the training sets and few steps. Score: 0 is the worst and 1000 the best encoder of each here.",
    "toy": "On the toy corpora. Score: 0 is the worst and 1000 the best encoder of each problem here.",
}


def read_all(folder: Path) -> dict[Path, dict[str, Any]]:
    """Every file of results in a folder, at any depth, by its path.

    Raises:
        ConfigError: there is none, one is wrong, or two are of the same encoder.
    """
    paths = sorted(folder.rglob("*.json"))
    if not paths:
        raise ConfigError(f"{folder} has no .json: expected files that 'results export' or 'results import' wrote")
    rows, errors = {}, []
    for path in paths:
        try:
            rows[path] = schema.read(path)
        except ConfigError as error:
            errors.append(str(error))
    if errors:
        raise ConfigError("\n".join(errors))
    first: dict[tuple[str, str], Path] = {}
    for path, row in rows.items():
        same = first.setdefault((row["protocol"], name_of(row)), path)
        if same != path:
            raise ConfigError(f"{same} and {path} both hold {name_of(row)}: remove one, or change upstream.label")
    return rows


def name_of(row: Mapping[str, Any]) -> str:
    """An encoder's name in the table: its label, the beginning of its revision, and where the numbers are from."""
    revision = row["upstream"]["revision"]
    notes = [*([revision[:8]] if revision else []), *([row["source"]] if row["source"] != "soundstage" else [])]
    return f"{row['upstream']['label']} ({', '.join(notes)})" if notes else row["upstream"]["label"]


def page(rows: Sequence[Mapping[str, Any]]) -> str:
    """The leaderboard as HTML: the table of each protocol, intervals, and where each row is from."""
    sections = []
    for protocol in schema.PROTOCOLS:
        own = [row for row in rows if row["protocol"] == protocol]
        if own:
            table = _table(own, with_published=protocol == "superb")
            sections.append(Section(TITLES[protocol], table.header, list(table.lines()), note=NOTES[protocol]))
    header = ["upstream", "problem", "metric", "value", "95 % interval", "learning rate", "test list"]
    certain = [line for row in rows for line in _results(row)]
    sections.append(Section("Results", header, certain, left=3, note=_test_lists(rows)))
    origins = [_origin(row) for row in rows]
    sections.append(Section("Encoders", ["upstream", "settings", "revision", "source", "versions"], origins, left=5))
    tiles = [("encoders", str(len(rows))), ("results", str(len(certain)))]
    return Page("Soundstage", "Leaderboard", tiles=tiles, sections=sections).render()


def _table(rows: Sequence[Mapping[str, Any]], with_published: bool) -> Table:
    cells: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        for result in row["results"]:
            problem, name = result["problem"], name_of(row)
            known = [metric for metric, *_ in TASKS[problem].columns] if problem in TASKS else []
            empty = {metric: {"value": None, "interval": None} for metric in known}
            cell = cells.setdefault((name, problem), {"upstream": name, "problem": problem, "metrics": empty})
            if result["metric"] in known:
                cell["metrics"][result["metric"]] = {key: result[key] for key in ("value", "interval")}
    tasks = [task for name, task in TASKS.items() if any(problem == name for _, problem in cells)]
    return Table(list(cells.values()), tasks, with_published)


def _results(row: Mapping[str, Any]) -> Iterator[list[str]]:
    for result in row["results"]:
        interval = result["interval"]
        ends = "" if interval is None else f"{interval[0]:.4f} to {interval[1]:.4f}"
        rate = "" if result["learning_rate"] is None else f"{result['learning_rate']:g}"
        digest = (result["test_ids_sha256"] or "")[:8]
        numbers = [f"{result['value']:.4f}", ends, rate, digest]
        yield [name_of(row), result["problem"], result["metric"], *numbers]


def _test_lists(rows: Sequence[Mapping[str, Any]]) -> str:
    """A warning about problems whose rows were tested on different utterances."""
    digests: dict[str, set[str]] = {}
    for row in rows:
        for result in row["results"]:
            if result["test_ids_sha256"]:
                digests.setdefault(f"{row['protocol']} {result['problem']}", set()).add(result["test_ids_sha256"])
    differing = [name for name, own in digests.items() if len(own) > 1]
    if differing:
        return (
            f"NOT the same test utterances in every row: {', '.join(differing)}. Test list: the start of its SHA-256."
        )
    return "Test list: the start of the SHA-256 of the ids; rows with the same one were tested on the same utterances."


def _origin(row: Mapping[str, Any]) -> list[str]:
    upstream = row["upstream"]
    settings = " ".join(f"{key}={value}" for key, value in upstream["conf"].items())
    versions = ", ".join(f"{key} {value}" for key, value in row["versions"].items())
    origin = " ".join(part for part in (row["source"], upstream["url"]) if part)
    return [
        name_of(row),
        " ".join([upstream["name"] or "", settings]).strip(),
        upstream["revision"] or "",
        origin,
        versions,
    ]
