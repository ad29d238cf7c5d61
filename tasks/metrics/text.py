"""Word and character errors: counted per utterance as integers, divided once over the corpus.

The alignment is Levenshtein's with unit costs, by rapidfuzz. The number of errors is unique. If several alignments
have it, rapidfuzz's choice decides the split into substitutions, deletions and insertions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein


@dataclass(frozen=True)
class ErrorCounts:
    """The counts of one alignment, or the sum over many."""

    hits: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    def __add__(self, other: ErrorCounts) -> ErrorCounts:
        return ErrorCounts(
            self.hits + other.hits,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )

    @property
    def errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def reference_length(self) -> int:
        return self.hits + self.substitutions + self.deletions

    @property
    def rate(self) -> float:
        """Errors over reference length, a fraction that insertions can raise above 1.

        With an empty reference: 0.0 if nothing was inserted, else infinity; ``corpus_rate`` refuses both.
        """
        if self.reference_length == 0:
            return math.inf if self.errors else 0.0
        return self.errors / self.reference_length


def error_counts(reference: Sequence[str], hypothesis: Sequence[str]) -> ErrorCounts:
    """Align two sequences of units (words, characters, phones); either may be empty."""
    counts = {"replace": 0, "delete": 0, "insert": 0}
    for edit in Levenshtein.editops(reference, hypothesis):
        counts[edit.tag] += 1
    hits = len(reference) - counts["replace"] - counts["delete"]
    return ErrorCounts(hits, counts["replace"], counts["delete"], counts["insert"])


def word_errors(reference: str, hypothesis: str) -> ErrorCounts:
    """Errors in words, separated by white space; case and punctuation count as written."""
    return error_counts(reference.split(), hypothesis.split())


def char_errors(reference: str, hypothesis: str) -> ErrorCounts:
    """Errors in Unicode code points; runs of white space count as one space, none at the ends."""
    return error_counts(" ".join(reference.split()), " ".join(hypothesis.split()))


def corpus_rate(counts: Iterable[ErrorCounts], unit: str) -> tuple[float, ErrorCounts]:
    """The rate of all errors over all reference units, and the summed counts.

    Raises ValueError if no reference has any unit: a rate over nothing would look like a perfect result.
    """
    total, utterances = ErrorCounts(), 0
    for utterance_counts in counts:
        total += utterance_counts
        utterances += 1
    if total.reference_length == 0:
        raise ValueError(
            f"no error rate: none of the references of all {utterances} utterances holds a {unit}; "
            "expected text in at least one, check the transcription column of this data set's CSV"
        )
    return total.rate, total
