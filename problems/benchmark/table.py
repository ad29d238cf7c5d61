"""The table of a benchmark: in the terminal, as CSV, as LaTeX, and as a page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from problems.benchmark.tasks import PUBLISHED, REFERENCE, BenchmarkTask
from problems.engine.runtime.formatting import csv_text
from problems.engine.runtime.formatting import table as aligned

LOWER_IS_BETTER = ("per", "wer", "eer", "der", "slot_value_cer")
SECOND = {"slot_value_cer": "sf_cer"}
"""Keys of :data:`PUBLISHED` by metric, of those that are not the first of their problem."""


@dataclass(frozen=True)
class Column:
    """A metric of a problem, as the table shows it."""

    problem: str
    metric: str
    heading: str
    scale: float

    @property
    def published_key(self) -> str:
        """The key of :data:`PUBLISHED`."""
        return SECOND.get(self.metric, self.problem)

    @property
    def sign(self) -> int:
        """1 if more is better, else -1."""
        return -1 if self.metric in LOWER_IS_BETTER else 1

    def text(self, value: float | None) -> str:
        """A value, scaled."""
        if value is None:
            return ""
        return f"{value:.4f}" if self.scale == 1 else f"{value:.2f}"


class Table:
    """Rows of results by encoder.

    Args:
        rows: of ``results.json``.
        tasks: of the columns.
        with_published: add the published rows, and the score relative to them.
    """

    def __init__(self, rows: Sequence[Mapping[str, Any]], tasks: Sequence[BenchmarkTask], with_published: bool):
        self.rows, self.tasks, self.with_published = rows, tasks, with_published
        self.columns = [Column(task.problem, *own) for task in tasks for own in task.columns]
        self.encoders = list(dict.fromkeys(row["upstream"] for row in rows))
        self.by_cell = {(row["upstream"], row["problem"]): row for row in rows}

    def values(self, encoder: str) -> dict[Column, float | None]:
        """The scaled metrics of an encoder."""
        values: dict[Column, float | None] = {}
        for column in self.columns:
            row = self.by_cell.get((encoder, column.problem))
            value = None if row is None else row["metrics"][column.metric]["value"]
            values[column] = None if value is None else value * column.scale
        return values

    def published(self, name: str) -> dict[Column, float | None]:
        """The metrics of a published row."""
        return {column: PUBLISHED[name][column.published_key] for column in self.columns}

    def score(self, values: Mapping[Column, float | None]) -> float | None:
        """The mean over problems of the progress from the first reference (0) to the second (1000).

        The references are published rows, or, without them, the worst and the best value of the table. A problem with
        several metrics counts once. None unless every problem has a value, and without published rows for one encoder,
        which has nothing to be compared with.
        """
        if not self.with_published and len(self.encoders) < 2:
            return None
        by_problem: dict[str, list[float]] = {}
        for column, value in values.items():
            low, high = self._references(column)
            if value is None:
                return None
            by_problem.setdefault(column.problem, []).append((value - low) / (high - low) if high != low else 1.0)
        return 1000 * math.fsum(math.fsum(own) / len(own) for own in by_problem.values()) / len(by_problem)

    def _best(self, column: Column) -> float | None:
        """The best value of the encoders."""
        values = [value for encoder in self.encoders if (value := self.values(encoder)[column]) is not None]
        return max(values, key=lambda value: column.sign * value, default=None)

    def _references(self, column: Column) -> tuple[float, float]:
        if self.with_published:
            low, high = (PUBLISHED[name][column.published_key] for name in REFERENCE)
            return low, high
        values = [v for encoder in self.encoders if (v := self.values(encoder)[column]) is not None]
        ordered = sorted(values or [0.0], key=lambda value: column.sign * value)
        return ordered[0], ordered[-1]

    # ---- forms ----

    @property
    def header(self) -> list[str]:
        """The heads of the columns."""
        return ["upstream", *(column.heading for column in self.columns), "score"]

    def lines(self) -> Iterator[list[str]]:
        """The cells of each row: the published ones first."""
        for name in PUBLISHED if self.with_published else ():
            yield self._line(f"{name} (published)", self.published(name))
        for encoder in self.encoders:
            yield self._line(encoder, self.values(encoder))

    def _line(self, name: str, values: Mapping[Column, float | None]) -> list[str]:
        score = self.score(values)
        return [
            name,
            *(column.text(value) for column, value in values.items()),
            "" if score is None else f"{score:.0f}",
        ]

    def text(self) -> str:
        """The table for a terminal."""
        return aligned(self.header, list(self.lines()), left=1)

    def csv(self) -> str:
        """A row for each result, with its interval, learning rate and validation."""
        ends = ["low", "high", "learning_rate", "validation", "test_set"]
        lines: list[list[Any]] = [["upstream", "problem", "metric", "value", *ends]]
        for row in self.rows:
            validation = row["validation"][0]["value"] if row["validation"] else ""
            for metric, own in row["metrics"].items():
                ends = own["interval"] or ["", ""]
                lines.append(
                    [row["upstream"], row["problem"], metric, own["value"], *ends]
                    + [row["learning_rate"] or "", validation, row["test_set"]]
                )
        return csv_text(lines)

    def latex(self) -> str:
        """The table for a paper, with the best of each column in bold, by booktabs."""
        best = {column: self._best(column) for column in self.columns}
        lines = [rf"\begin{{tabular}}{{l{'r' * (len(self.columns) + 1)}}}", r"\toprule"]
        lines += [" & ".join(_escaped(head) for head in self.header) + r" \\", r"\midrule"]
        for encoder in self.encoders:
            values = self.values(encoder)
            cells = [_bold(column.text(value), value == best[column]) for column, value in values.items()]
            score = self.score(values)
            lines.append(" & ".join([_escaped(encoder), *cells, "" if score is None else f"{score:.0f}"]) + r" \\")
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])

    # ---- the page ----

    def page(self, root: Path, baseline: str | None) -> str:
        """The table, intervals, learning rates, layer weights and paired tests as one HTML page."""
        from problems.engine.report.tables_page import Page, Section

        scores = {encoder: self.score(self.values(encoder)) for encoder in self.encoders}
        tiles = [(f"score of {name}", f"{score:.0f}") for name, score in scores.items() if score is not None]
        sections = [Section("Table", self.header, list(self.lines()), note=self._score_note())]
        header = ["upstream", "problem", "metric", "value", "95 % interval", "learning rate", "chosen on test"]
        sections.append(Section("Certainty", header, list(self._certainty()), left=3, note=CERTAINTY_NOTE))
        searched = list(self._searched())
        if searched:
            header = ["upstream", "problem", "rate", "value"]
            sections.append(Section("Learning rates, on validation", header, searched, left=2))
        weights = list(self._layers())
        if weights:
            sections.append(Section("Layer weights", ["upstream", "problem", "weights by layer"], weights, left=3))
        from problems.benchmark.significance import paired_rows

        pairs = paired_rows(root, self.rows, baseline or (self.encoders[0] if self.encoders else ""))
        if pairs:
            header = ["encoders", "problem", "metric", "difference", "95 % interval", "p (bootstrap)", "second test"]
            sections.append(Section("Paired tests", header, pairs, left=3))
        return Page("Soundstage benchmark", root.name, tiles=tiles, sections=sections).render()

    def _score_note(self) -> str:
        if self.with_published:
            return f"Score: 0 is {REFERENCE[0]}, 1000 is {REFERENCE[1]}, as published; the mean over problems."
        if len(self.encoders) < 2:
            return "No score: one encoder has nothing to be compared with."
        return "Score: 0 is the worst and 1000 the best encoder of each problem here; the mean over problems."

    def _certainty(self) -> Iterator[list[str]]:
        for row in self.rows:
            for column in (own for own in self.columns if own.problem == row["problem"]):
                own = row["metrics"][column.metric]
                ends = [column.text(end * column.scale) for end in own["interval"] or ()]
                value = None if own["value"] is None else own["value"] * column.scale
                rate = "" if row["learning_rate"] is None else f"{row['learning_rate']:g}"
                best = row["chosen_on_test"] if column.metric == self._first_metric(row["problem"]) else None
                yield [
                    *(row["upstream"], row["problem"], column.heading, column.text(value), " to ".join(ends), rate),
                    "" if best is None else column.text(best * column.scale),
                ]

    def _first_metric(self, problem: str) -> str:
        return next(column.metric for column in self.columns if column.problem == problem)

    def _searched(self) -> Iterator[list[str]]:
        for row in self.rows:
            for rate, value in row["searched"].items():
                mark = " (chosen)" if float(rate) == row["learning_rate"] else ""
                yield [row["upstream"], row["problem"], f"{float(rate):g}{mark}", f"{value:.4f}"]

    def _layers(self) -> Iterator[list[str]]:
        for row in self.rows:
            if row["layer_weights"]:
                weights = (f"{layer}: {100 * weight:.0f} %" for layer, weight in row["layer_weights"].items())
                yield [row["upstream"], row["problem"], ", ".join(weights)]


CERTAINTY_NOTE = (
    "Every choice was made on validation data. Chosen on test: the best of all tested settings and checkpoints on the"
    " test set itself, as some published protocols report it."
)


def _bold(text: str, is_best: bool) -> str:
    return rf"\textbf{{{text}}}" if text and is_best else text


def _escaped(text: str) -> str:
    return "".join(rf"\{letter}" if letter in "&%$#_{}" else letter for letter in text)
