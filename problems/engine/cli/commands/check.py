"""``check``: read all audio of a corpus, and report what is wrong with it and between its splits."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dataset.storage.files import write_json, write_text
from problems.engine.cli.arguments import Arguments, resolve_config
from problems.engine.runtime.environment import cache_folder, reading_workers
from problems.engine.runtime.overrides import call, is_overridden

MOST_BARS, MOST_ROWS = 30, 200


def check(problem: Any, arguments: Arguments) -> int:
    """Print what was found, write it to ``check/`` of the target folder; 1 if there are errors."""
    from dataset.check import check as check_sets
    from dataset.check import lines

    config = resolve_config(problem, arguments.configs, arguments.overrides)
    folder = Path(config["target_dir"]).absolute() / "check"
    checked = check_sets(
        _sets(problem, config, folder),
        label=problem.label_column,
        num_workers=max(1, reading_workers(config)),
        min_seconds=config["prepare_data"].get("min_seconds", 0.0),
        progress=_with_bar,
    )
    print("\n".join(lines(checked)))
    write_json(folder / "check.json", checked.to_json())
    write_text(folder / "check.html", _page(problem, config, checked))
    print(f"\nall of it: {folder / 'check.html'}", file=sys.stderr)
    return int(checked.has_errors)


def _sets(problem: Any, config: dict[str, Any], folder: Path) -> dict[str, list[dict[str, str]]]:
    """The rows of every split: those of the corpus, or of the CSVs that an overridden ``prepare_data`` writes."""
    from dataset.check import rows_of

    cache, section = cache_folder(config), dict(config["prepare_data"])
    corpus = problem.corpus(section)
    if corpus is None or is_overridden(problem, "prepare_data"):
        train, valid, tests = call(
            problem, "prepare_data", prepare_data=section, target_dir=str(folder), cache_dir=str(cache)
        )
        return {"train": rows_of(train), "valid": rows_of(valid)} | {Path(csv).stem: rows_of(csv) for csv in tests}
    splits = corpus.load(cache)
    sets = {"train": splits.train, "valid": splits.valid, **splits.test}
    return {name: _utterances(rows) for name, rows in sets.items()}


def _utterances(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """The rows of a set; of trials, those of their utterances."""
    if not rows or "wav_path1" not in rows[0]:
        return rows
    from dataset.trial_tables import utterance_paths

    sides = ((row[f"id{side}"], row[f"wav_path{side}"]) for row in rows for side in (1, 2))
    return [{"id": id, "wav_path": path} for id, path in utterance_paths(sides).items()]


def _with_bar(items: Iterable[Any], total: int) -> Iterable[Any]:
    from tqdm import tqdm

    return tqdm(items, total=total, desc="reading", unit="utt", disable=not sys.stderr.isatty(), leave=False)


def _page(problem: Any, config: dict[str, Any], checked: Any) -> str:
    from dataset.wording import speech_length
    from problems.engine.report.charts.figure import Bars
    from problems.engine.report.tables_page import Page, Section

    errors = sum(finding.is_error for finding in checked.findings)
    name = config["prepare_data"].get("corpus") or type(problem).__name__
    page = Page(
        "Soundstage check",
        f"{type(problem).__name__}: {name}",
        tiles=[("errors", f"{errors:,}"), ("warnings", f"{len(checked.findings) - errors:,}")],
    )
    rows = [
        [name, f"{s.utterances:,}", speech_length(s.seconds), ", ".join(f"{rate:,}" for rate in s.rates)]
        for name, s in checked.sets.items()
    ]
    page.sections.append(Section("Sets", ["set", "utterances", "speech", "sample rates (Hz)"], rows))
    for kind, findings in checked.by_kind().items():
        shown = [[finding.where, finding.text] for finding in findings[:MOST_ROWS]]
        note = f"{len(findings) - MOST_ROWS:,} more are in check.json" if len(findings) > MOST_ROWS else ""
        title = f"{'Error' if findings[0].is_error else 'Warning'}: {kind} ({len(findings):,})"
        section = Section(title, ["where", "what"], shown, left=2, note=note, is_warning=findings[0].is_error)
        page.sections.append(section)
    for name, summary in checked.sets.items():
        page.sections.append(
            Section(f"Lengths of {name}", bars=Bars.of_counts(("length", "utterances"), summary.lengths))
        )
        if summary.labels:
            more = len(summary.labels) - MOST_BARS
            note = f"the {MOST_BARS} most frequent of {len(summary.labels):,}" if more > 0 else ""
            bars = Bars.of_counts(("label", "utterances"), summary.labels[:MOST_BARS], note)
            page.sections.append(Section(f"Labels of {name}", bars=bars))
    return page.render()
