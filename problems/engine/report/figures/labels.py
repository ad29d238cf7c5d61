"""Figures of predicted labels: the confusion matrix, and the reliability of confidence."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from problems.engine.report.charts.axis import BOTTOM, LEFT, RIGHT, TOP, frame, linear
from problems.engine.report.charts.figure import Figure, Row, element, joined
from problems.engine.report.predictions import Predictions, number_in
from tasks.metrics.kinds import Rate

MOST_LABELS = 40
"""Labels of which a matrix can be read; of more, only the most frequent confusions are listed."""
MOST_CONFUSIONS = 20
BINS = 10
SHADES = 9


@dataclass
class Confusion:
    """Counts of how often each reference label was taken for each label.

    counts: reference by hypothesis, over ``labels``; empty if there are too many of them. pairs: the most frequent
    confusions: reference, hypothesis, how often, and how often the reference occurs.
    """

    labels: list[str]
    counts: list[list[int]]
    pairs: list[tuple[str, str, int, int]]

    def shade(self, row: Sequence[int], count: int) -> int:
        """The darkness of a cell, from 0 to SHADES, by its share of the row."""
        return math.ceil(SHADES * count / sum(row)) if count else 0


def confusion(rows: Predictions) -> Confusion | None:
    """The confusions of labels; None if the references hardly repeat, as those of sentences or numbers."""
    counted = Counter((row["reference"], row["hypothesis"]) for row in rows)
    references = Counter(row["reference"] for row in rows)
    labels = sorted(dict.fromkeys(label for pair in counted for label in pair))
    if len(labels) < 2 or len(references) > len(rows) / 2:
        return None
    wrong = sorted((-n, reference, label) for (reference, label), n in counted.items() if reference != label)
    pairs = [(reference, label, -n, references[reference]) for n, reference, label in wrong[:MOST_CONFUSIONS]]
    is_small = len(labels) <= MOST_LABELS
    counts = [[counted[reference, label] for label in labels] for reference in labels] if is_small else []
    return Confusion(labels, counts, pairs)


def label_reliability(rows: Predictions) -> Figure | None:
    """The share of right labels by confidence; None without the column ``confidence``."""
    known = [(number_in(row.get("confidence", "")), row["reference"] == row["hypothesis"]) for row in rows]
    known = [(confidence, is_right) for confidence, is_right in known if confidence is not None]
    if not known or not all(0 <= confidence <= 1 for confidence, _ in known):
        return None
    confidences, right = (np.array(column, dtype=float) for column in zip(*known))
    return reliability_figure("Reliability", confidences, right, kinds=("confidence", "right"))


def reliability_figure(title: str, expected: np.ndarray, happened: np.ndarray, *, kinds: tuple[str, str]) -> Figure:
    """The share of how often something happened by how often it was expected, in bins; a diagonal is perfect.

    Args:
        expected: probabilities (N,). happened: 0 or 1 (N,).
        kinds: the names of both.
    """
    bins = np.minimum((expected * BINS).astype(int), BINS - 1)
    metric = Rate()
    x, y = linear([0.0, 1.0], LEFT, RIGHT), linear([0.0, 1.0], BOTTOM, TOP, metric=metric)
    diagonal = f"M{x.place(0):.1f} {y.place(0):.1f}L{x.place(1):.1f} {y.place(1):.1f}"
    drawn, rows, line, gap = [frame(x, y, kinds[0], kinds[1]), element("path", class_="guide", d=diagonal)], [], [], 0.0
    for number in range(BINS):
        inside = bins == number
        count = int(inside.sum())
        if not count:
            continue
        mean, share = float(expected[inside].mean()), float(happened[inside].mean())
        low, high = wilson(share, count)
        gap += count * abs(mean - share)
        px, py = x.place(mean), y.place(share)
        line.append(f"{px:.1f} {py:.1f}")
        drawn.append(element("path", class_="whisker s0", d=f"M{px:.1f} {y.place(low):.1f}V{y.place(high):.1f}"))
        drawn.append(element("circle", class_="dot f0", cx=px, cy=py, r=2.5 + 4.5 * math.sqrt(count / len(expected))))
        bounds = metric.format_interval((low, high))
        rows.append(Row([f"{mean:.3f}", metric.format(share), bounds, f"{count:,}"], px, [py]))
    drawn.insert(2, element("path", class_="curve s0", d="M" + "L".join(line)))
    gap /= len(expected)
    return Figure(
        title=title,
        svg=joined(*drawn),
        header=[kinds[0], kinds[1], "95 % interval", "number"],
        rows=rows,
        summary=f"{title}: {kinds[1]} by {kinds[0]} in bins, beside the diagonal of a perfect calibration; they differ"
        f" by {metric.format(gap)} on average.",
        note=f"mean distance from the diagonal {metric.format(gap)}; bars are 95 % intervals, dots grow with numbers",
    )


def wilson(share: float, count: int, deviate: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share of ``count`` (Wilson, JASA 1927)."""
    spread = deviate**2 / count
    middle = (share + spread / 2) / (1 + spread)
    half = deviate * math.sqrt(share * (1 - share) / count + spread / (4 * count)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)
