"""The worst, or best, utterances of a test by a number that each of them has."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dataset.wording import nearest
from problems.engine.report.predictions import COLUMNS, Predictions, Row, is_target, number_in, numbers_in
from problems.engine.runtime.errors import ConfigError
from tasks.metrics.kinds import UNDECLARED, Metric
from tasks.metrics.text import word_errors

COUNT = 20
KEYS = ("metric", "n", "best")


@dataclass(frozen=True)
class Ranking:
    """A list that is asked for: ``count`` utterances, the worst or the best by a metric or a column."""

    metric: str
    count: int = COUNT
    best: bool = False

    @property
    def name(self) -> str:
        """The name of its file, such as ``worst_loss``."""
        safe = "".join(mark if mark.isalnum() or mark in "-." else "_" for mark in self.metric)
        return f"{'best' if self.best else 'worst'}_{safe}"


@dataclass(frozen=True)
class Ranked:
    """The utterances of a list, the first first. values: their numbers as text; heading: of the numbers."""

    name: str
    caption: str
    heading: str
    rows: Sequence[Row]
    values: Sequence[str]


def rankings(setting: Any) -> list[Ranking]:
    """The lists of ``evaluate.worst``.

    Raises:
        ConfigError: it has another form.
    """
    asked = []
    for number, entry in enumerate(setting or ()):
        place = f"evaluate.worst[{number}]"
        if not isinstance(entry, Mapping) or not isinstance(entry.get("metric"), str):
            raise ConfigError(f"{place}: expected {{metric: NAME}} and perhaps n and best, got {entry!r}")
        for key in entry:
            if key not in KEYS:
                raise ConfigError(f"{place}: there is no key {key!r}{nearest(key, KEYS)}; expected {', '.join(KEYS)}")
        count, best = entry.get("n", COUNT), entry.get("best", False)
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise ConfigError(f"{place}.n: expected a number of utterances from 1, got {count!r}")
        if not isinstance(best, bool):
            raise ConfigError(f"{place}.best: expected true or false, got {best!r}")
        asked.append(Ranking(entry["metric"], count, best))
    names = [ranking.name for ranking in asked]
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise ConfigError(f"evaluate.worst: the list {repeated[0]} is asked for twice; give each metric once")
    return asked


def ranked(
    rows: Predictions, ranking: Ranking, declarations: Mapping[str, Metric], test_set: str = "the test"
) -> Ranked:
    """Rank utterances by a metric that is declared with ``of``, or by a column of numbers.

    A column without a direction counts as worst where it is highest. What is not finite is worst, and never among the
    best.

    Raises:
        ConfigError: the utterances have no such number.
    """
    metric = declarations.get(ranking.metric, UNDECLARED)
    numbers = _numbers(rows, ranking.metric, metric)
    if numbers is None:
        known = list(_known(rows, declarations))
        raise ConfigError(
            f"evaluate.worst: the utterances of {test_set} have no {ranking.metric!r}{nearest(ranking.metric, known)};"
            f" they have {', '.join(known)}"
        )
    badness = [math.inf if v is None else -v if metric.better == "higher" else v for v in numbers]
    places = [place for place in range(len(rows)) if not ranking.best or math.isfinite(badness[place])]
    sign = 1 if ranking.best else -1
    places.sort(key=lambda place: (sign * badness[place], _id(rows[place]), place))
    places = places[: ranking.count]
    heading = metric.heading(ranking.metric)
    if metric.better is None:
        selection = f"with the {'lowest' if ranking.best else 'highest'} {heading}"
    else:
        selection = f"{'best' if ranking.best else 'worst'} by {heading}"
    return Ranked(
        name=ranking.name,
        caption=f"the {len(places)} {selection} of {len(rows):,}",
        heading=heading,
        rows=[rows[place] for place in places],
        values=[metric.format(numbers[place]) for place in places],
    )


def _numbers(rows: Predictions, name: str, metric: Metric) -> list[float | None] | None:
    """The number of each utterance; None if they have none."""
    if metric.of is not None and rows and all(column in rows[0] for column in metric.of if column is not None):
        top, bottom = metric.of
        return [_ratio(number_in(row[top]), 1.0 if bottom is None else number_in(row[bottom])) for row in rows]
    if rows and name in rows[0] and any(number_in(row[name]) is not None for row in rows):
        return [number_in(row[name]) for row in rows]
    return [] if not rows else None


def _ratio(top: float | None, bottom: float | None) -> float | None:
    """A quotient; none of nothing is 0, and something of nothing has no value."""
    if top is None or bottom is None:
        return None
    return top / bottom if bottom else (None if top else 0.0)


def _known(rows: Predictions, declarations: Mapping[str, Metric]) -> Iterator[str]:
    """The values that utterances can be ranked by."""
    columns = [name for name in (rows[0] if rows else ()) if name not in COLUMNS]
    yield from (name for name, metric in declarations.items() if _numbers(rows[:1], name, metric) is not None)
    yield from (name for name in columns if name not in declarations and number_in(rows[0][name]) is not None)


def _id(row: Row) -> str:
    return row["id"] if "id" in row else f"{row.get('id1', '')} {row.get('id2', '')}"


# ---- the lists that nobody asked for ----


def usual(rows: Predictions, predicts: str, declarations: Mapping[str, Metric]) -> Ranked:
    """The list of a test for which none is asked for.

    Of texts, those with the most word errors, then the highest rate; of turns, the worst by the first metric that
    recordings have; of trials, those whose score is farthest on the wrong side; of labels and others, those with the
    highest loss, or wrong ones with the highest confidence. Right texts and trials are left out.
    """
    if predicts == "text":
        return _most_errors(rows)
    if predicts == "trials":
        return _most_misleading(rows)
    if predicts == "turns":
        name = next((name for name, metric in declarations.items() if _numbers(rows, name, metric) and metric.of), None)
        if name is not None:
            return ranked(rows, Ranking(name), declarations)
    return _highest_losses(rows)


def _most_errors(rows: Predictions) -> Ranked:
    counts = [word_errors(row["reference"], row["hypothesis"]) for row in rows]
    order = sorted(
        (place for place, own in enumerate(counts) if own.errors),
        key=lambda place: (-counts[place].errors, -counts[place].rate, rows[place]["id"], place),
    )[:COUNT]
    texts = [f"{counts[place].errors} of {counts[place].reference_length}" for place in order]
    caption = f"the {len(order)} with the most word errors of {len(rows):,} utterances"
    return Ranked(
        "worst_word_errors",
        caption if order else f"no errors in {len(rows):,} utterances",
        "word errors",
        [rows[place] for place in order],
        texts,
    )


def _highest_losses(rows: Predictions) -> Ranked:
    has_loss = bool(rows) and "loss" in rows[0]
    entries = []
    for place, row in enumerate(rows):
        loss = number_in(row["loss"]) if has_loss else 0.0
        if has_loss or row["reference"] != row["hypothesis"]:
            confidence = number_in(row.get("confidence", "")) or 0.0
            entries.append((-(math.inf if loss is None else loss), -confidence, row["id"], place))
    order = [place for *_, place in sorted(entries)[:COUNT]]
    if not order:
        caption = f"no errors in {len(rows):,} utterances"
    elif has_loss:
        caption = f"the {len(order)} with the highest loss of {len(rows):,} utterances"
    else:
        caption = f"{len(order)} wrong of {len(rows):,} utterances"
    values = [UNDECLARED.format(number_in(rows[place]["loss"])) for place in order] if has_loss else [""] * len(order)
    return Ranked("worst_loss", caption, "loss" if has_loss else "", [rows[place] for place in order], values)


def _most_misleading(rows: Predictions) -> Ranked:
    """The trials that are farthest on the wrong side of even odds or, without calibration, of equal error rates."""
    targets = np.array([is_target(row) for row in rows], dtype=bool)
    ratios, scores = numbers_in(rows, "llr"), numbers_in(rows, "score")
    column = "llr" if ratios is not None else "score"
    if scores is None or targets.all() or not targets.any():
        return Ranked("worst_score", f"no errors in {len(rows):,} trials", "score", [], [])
    margins = ratios if ratios is not None else scores - _even_threshold(scores, targets)
    wrong = np.where(targets, -margins, margins)
    order = [place for place in np.argsort(-wrong, kind="stable")[:COUNT].tolist() if wrong[place] > 0]
    caption = f"the {len(order)} farthest on the wrong side of {int((wrong > 0).sum()):,} wrong trials of {len(rows):,}"
    return Ranked(
        f"worst_{column}",
        caption if order else f"no errors in {len(rows):,} trials",
        column,
        [rows[place] for place in order],
        [UNDECLARED.format(number_in(rows[place][column])) for place in order],
    )


def _even_threshold(scores: np.ndarray, targets: np.ndarray) -> float:
    """The score at which misses and false alarms are equally frequent, as nearly as there is one."""
    order = np.argsort(scores, kind="stable")
    misses = np.cumsum(targets[order]) / targets.sum()
    alarms = 1 - np.cumsum(~targets[order]) / (~targets).sum()
    return float(scores[order[np.argmin(np.abs(misses - alarms))]])
