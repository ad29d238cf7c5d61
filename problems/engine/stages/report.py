"""Stage 4: tables, plots, lists of utterances, and one HTML page."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from problems.engine.report.rankings import rankings
from problems.engine.report.read import BASELINES, CHECKPOINTS, CHOICE, LEARNING_CURVE
from problems.engine.stages.freshness.fingerprint import Fingerprint
from problems.engine.stages.stage import Stage
from problems.engine.stages.target_folder import files_below

log = logging.getLogger(__name__)

LISTS = "lists of the report"
"""The key of ``evaluate.worst`` in the fingerprint."""


class Report(Stage):
    """Reads the history and the results, and leaves ``report/``."""

    number, name = 4, "report"
    is_moved_aside = True

    def __init__(self, *args: Any):
        super().__init__(*args)
        self.lists = rankings(self.config["evaluate"].get("worst"))
        """The lists of utterances that are asked for; wrong ones are refused before any work."""

    def settings(self) -> dict[str, Any]:
        """The lists, under a name of their own: ``evaluate.worst`` is free to change under a test."""
        return {LISTS: [vars(ranking) for ranking in self.lists]} if self.lists else {}

    def inputs(self) -> list[Path]:
        """The history of the training and every result."""
        results = sorted(self.folder.evaluate_dir.rglob("result.json"))
        results += sorted(self.folder.evaluate_dir.glob(f"*/{CHOICE}"))
        more = (*(self.folder.evaluate_dir / n for n in (BASELINES, CHECKPOINTS)), self.folder.root / LEARNING_CURVE)
        return [self.folder.train_dir / "metrics.jsonl", *results, *(path for path in more if path.exists())]

    def outputs(self) -> list[Path]:
        """Every file of the report."""
        return files_below(self.output_dir)

    @property
    def output_dir(self) -> Path:
        """``report/``."""
        return self.folder.report_dir

    def run(self, device: str, fingerprint: Fingerprint | None) -> None:
        """Write the report and print its table."""
        from problems.engine.report.report import write_report  # matplotlib takes a second to load

        print(write_report(self.folder.root, self.output_dir, worst=self.lists).to_text())
        log.info("report: %s", self.output_dir / "report.html")
