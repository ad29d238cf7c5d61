"""Labels of the validation and test sets that an encoder does not know."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from dataset.corpora import CorpusError
from dataset.encoders.base import LabelEncoder
from dataset.wording import count

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

MAX_LISTED_SYMBOLS = 5
MAX_LISTED_LABELS = 10


def warn_of_unknown(encoder: LabelEncoder, rows: pd.DataFrame, column: str, csv: str, unit: str = "symbol") -> None:
    """Log the symbols of a set's texts that the encoder does not know; each of them is an error in any hypothesis.

    Args:
        unit: the word for a symbol.

    Raises:
        CorpusError: the encoder cannot read a text; the message names its row.
    """
    counts: Counter[str] = Counter()
    first_ids: dict[str, str] = {}
    for number, symbols in _unknown(encoder, rows, column, csv):
        for symbol in symbols:
            counts[symbol] += 1
            first_ids.setdefault(symbol, rows["id"][number - 2])
    if counts:
        listed = ", ".join(
            f"{symbol!r} ({count(number, 'utterance')}, first {first_ids[symbol]})"
            for symbol, number in counts.most_common(MAX_LISTED_SYMBOLS)
        )
        log.warning(
            "%s has %s missing from the training set, which no hypothesis can contain: %s",
            csv,
            count(len(counts), unit),
            listed,
        )


def require_known(encoder: LabelEncoder, rows: pd.DataFrame, column: str, csv: str) -> None:
    """Raise a CorpusError that lists the labels of a set that the encoder does not know, with their rows."""
    first_rows: dict[str, int] = {}
    for number, labels in _unknown(encoder, rows, column, csv):
        for label in labels:
            first_rows.setdefault(label, number)
    if first_rows:
        listed = [f"{label!r} (row {number}, {rows['id'][number - 2]})" for label, number in first_rows.items()]
        if len(listed) > MAX_LISTED_LABELS:
            listed[MAX_LISTED_LABELS:] = [f"... and {len(listed) - MAX_LISTED_LABELS} more"]
        raise CorpusError(
            f"{csv} has {count(len(first_rows), 'label')} missing from the training set, which no classifier can "
            f"predict: {', '.join(listed)}; remove these utterances, or add some of each label to the training set"
        )


def _unknown(encoder: LabelEncoder, rows: pd.DataFrame, column: str, csv: str) -> Iterator[tuple[int, set[str]]]:
    """The row, counted from the header, and the unknown symbols of each text."""
    for number, text in enumerate(rows[column], start=2):
        try:
            yield number, encoder.unknown(text)
        except ValueError as error:
            raise CorpusError(f"{csv}, row {number} ({rows['id'][number - 2]}): {error}") from error
