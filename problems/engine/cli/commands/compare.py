"""``python -m problems compare RUN RUN...``: several runs side by side, with paired tests, on one page."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dataset.storage.files import write_json, write_text
from problems.engine.cli.arguments import parse
from problems.engine.runtime.errors import ConfigError
from problems.engine.runtime.formatting import table

USAGE = "compare RUN RUN... [--baseline RUN] [--out FOLDER]"
HELP = f"""usage: python -m problems {USAGE}

Finished runs side by side: their metrics with intervals, paired tests, and the settings that differ.

  RUN              the target folder of a run, such as result/asr/toy
  --baseline RUN   the run that the paired tests compare with; by default the first
  --out FOLDER     for comparison.html and comparison.json; by default comparison"""
UNSHOWN = ("target_dir", "cache_dir", "num_workers", "device", "start", "stop", "fresh")


def compare(words: Sequence[str]) -> int:
    """Compare the chosen checkpoints of target folders; the first, or ``--baseline``, is what others are compared with.

    Prints the metrics and the paired tests, and writes ``comparison.html`` and ``comparison.json``.
    """
    arguments = parse(words, options=("baseline", "out"))
    options = dict(arguments.overrides)
    folders = [Path(name) for name in arguments.files]
    if "baseline" in options:
        baseline = Path(options["baseline"])
        folders = [baseline, *(folder for folder in folders if folder.resolve() != baseline.resolve())]
    if len(folders) < 2:
        raise ConfigError(f"compare needs two target folders or more: {USAGE}")
    from problems.engine.report.comparison.page import comparison_page
    from problems.engine.report.comparison.runs import PAIRED, as_json, finished, metric_rows, pairs_of

    runs = finished(folders)
    rows = metric_rows(runs)
    pairs = [pair for other in runs[1:] for pair in pairs_of(runs[0], other)]
    print(table(["run", "test set", "metric", "value", "95% interval"], [row.cells for row in rows], left=3))
    if pairs:
        print()
        print(table(list(PAIRED), [pair.cells for pair in pairs], left=3))
    else:
        print("\nno paired tests: the runs have no test set with the same utterances in common")
    out = Path(options.get("out", "comparison"))
    configs = [_config(run.run.config) for run in runs]
    write_text(out / "comparison.html", comparison_page(runs, rows, pairs, configs))
    write_json(out / "comparison.json", as_json(runs, pairs))
    print(f"\npage: {out / 'comparison.html'}", file=sys.stderr)
    return 0


def _config(text: str) -> dict[str, Any]:
    """The keys of a run's config that can affect its results, dotted."""
    from problems.engine.config import yaml_text
    from problems.engine.stages.freshness.fingerprint import flatten

    flat = flatten(yaml_text.load(text)) if text else {}
    return {key: value for key, value in flat.items() if key not in UNSHOWN}
