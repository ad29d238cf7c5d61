"""The utterances that a checkpoint got most wrong: texts with aligned words, or labels by their loss."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

from tasks.metrics.text import word_errors

COUNT = 20
Row = dict[str, str]


@dataclass(frozen=True)
class Pair:
    """One column of an alignment; kind: hit, substitution, deletion, insertion (the absent word is empty)."""

    kind: str
    reference: str
    hypothesis: str


@dataclass(frozen=True)
class WorstText:
    """An utterance with word errors; words: those of its reference."""

    id: str
    errors: int
    words: int
    pairs: list[Pair]


@dataclass(frozen=True, kw_only=True)
class WorstLabel:
    """An utterance whose label, or other single value, was predicted; None for a number that was not recorded."""

    id: str
    reference: str
    hypothesis: str
    loss: float | None
    confidence: float | None

    @property
    def is_correct(self) -> bool:
        return self.reference == self.hypothesis


@dataclass(frozen=True)
class WorstUtterances:
    """The worst utterances of one test set; total: the number of all its utterances."""

    test_set: str
    total: int
    texts: list[WorstText]
    labels: list[WorstLabel]

    @property
    def numbers(self) -> list[str]:
        """The numbers that the labels have: of ``loss`` and ``confidence``."""
        return [
            name for name in ("loss", "confidence") if any(getattr(label, name) is not None for label in self.labels)
        ]

    @property
    def caption(self) -> str:
        """The selection in words."""
        if self.texts:
            return f"the {len(self.texts)} with the most word errors of {self.total:,} utterances"
        if not self.labels:
            return f"no errors in {self.total:,} utterances"
        if self.labels[0].loss is None:
            return f"{len(self.labels)} wrong of {self.total:,} utterances"
        return f"the {len(self.labels)} with the highest loss of {self.total:,} utterances"


def worst_utterances(test_set: str, rows: list[Row], predicts: str, count: int = COUNT) -> WorstUtterances:
    """The worst ``count`` rows of a predictions.csv, as texts or as labels.

    Args:
        rows: with ``id, reference, hypothesis`` and, for labels, ``loss`` and ``confidence`` if they are known.
        predicts: what the task declares that it predicts: "text", or anything else, which is compared as a whole.
    """
    is_text = predicts == "text"
    return WorstUtterances(
        test_set=test_set,
        total=len(rows),
        texts=worst_texts(rows, count) if is_text else [],
        labels=[] if is_text else worst_labels(rows, count),
    )


def worst_texts(rows: list[Row], count: int) -> list[WorstText]:
    """The ``count`` rows with the most word errors, then the highest rate, then by id; none without errors."""
    ranked = []
    for position, row in enumerate(rows):
        counts = word_errors(row["reference"], row["hypothesis"])
        if counts.errors:
            ranked.append((-counts.errors, -counts.rate, row["id"], position, counts.reference_length))
    return [
        WorstText(id, -errors, words, align(rows[position]["reference"], rows[position]["hypothesis"]))
        for errors, _, id, position, words in heapq.nsmallest(count, ranked)
    ]


def worst_labels(rows: list[Row], count: int) -> list[WorstLabel]:
    """The ``count`` rows with the highest loss, then the highest confidence, then by id.

    A loss that was not finite is the highest. Without losses only wrong rows are returned.
    """
    labels = []
    for row in rows:
        loss = _number(row["loss"], math.inf) if "loss" in row else None
        confidence = _number(row.get("confidence", ""), None)
        label = WorstLabel(
            id=row["id"], reference=row["reference"], hypothesis=row["hypothesis"], loss=loss, confidence=confidence
        )
        if loss is not None or not label.is_correct:
            labels.append(label)
    return heapq.nsmallest(count, labels, key=_rank)


def _rank(label: WorstLabel) -> tuple[float, float, str]:
    loss = 0.0 if label.loss is None else label.loss
    confidence = 0.0 if label.confidence is None else label.confidence
    return -loss, -confidence, label.id


def _number(text: str, default: float | None) -> float | None:
    """The number in a cell; ``default`` if it is not a finite number."""
    try:
        value = float(text)
    except ValueError:
        return default
    return value if math.isfinite(value) else default


def align(reference: str, hypothesis: str) -> list[Pair]:
    """Align two texts word by word with the fewest errors."""
    reference_words, hypothesis_words = reference.split(), hypothesis.split()
    pairs = []
    for tag, i, i_end, j, j_end in Levenshtein.opcodes(reference_words, hypothesis_words):
        if tag == "delete":
            pairs += [Pair("deletion", word, "") for word in reference_words[i:i_end]]
        elif tag == "insert":
            pairs += [Pair("insertion", "", word) for word in hypothesis_words[j:j_end]]
        else:
            kind = "hit" if tag == "equal" else "substitution"
            pairs += [Pair(kind, *words) for words in zip(reference_words[i:i_end], hypothesis_words[j:j_end])]
    return pairs
