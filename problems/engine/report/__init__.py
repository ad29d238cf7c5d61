"""Stage 4: tables, plots and one self-contained page from what the other stages left."""

from __future__ import annotations

from problems.engine.report.report import Report, write_report

__all__ = ["Report", "write_report"]
