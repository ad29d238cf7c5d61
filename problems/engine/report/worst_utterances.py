"""The utterances with the most word errors, each as aligned pairs of words."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

from tasks.metrics.text import word_errors


@dataclass(frozen=True)
class Pair:
    """One column of an alignment; kind: hit, substitution, deletion, insertion (the absent word is empty)."""

    kind: str
    reference: str
    hypothesis: str


@dataclass(frozen=True)
class Utterance:
    id: str
    errors: int
    words: int
    pairs: list[Pair]


def align(reference: str, hypothesis: str) -> list[Pair]:
    """Align two texts word by word with the fewest errors."""
    left, right = reference.split(), hypothesis.split()
    pairs = []
    for tag, i, i_end, j, j_end in Levenshtein.opcodes(left, right):
        if tag == "delete":
            pairs += [Pair("deletion", word, "") for word in left[i:i_end]]
        elif tag == "insert":
            pairs += [Pair("insertion", "", word) for word in right[j:j_end]]
        else:
            kind = "hit" if tag == "equal" else "substitution"
            pairs += [Pair(kind, *words) for words in zip(left[i:i_end], right[j:j_end])]
    return pairs


def worst_utterances(rows: list[dict[str, str]], count: int) -> list[Utterance]:
    """The ``count`` rows with the most errors (then the highest rate, then by id); none without errors."""
    scored = []
    for position, row in enumerate(rows):
        counts = word_errors(row["reference"], row["hypothesis"])
        if counts.errors:
            scored.append((-counts.errors, -counts.rate, row["id"], position, counts.reference_length))
    return [
        Utterance(id, -errors, words, align(rows[position]["reference"], rows[position]["hypothesis"]))
        for errors, _, id, position, words in heapq.nsmallest(count, scored)
    ]
