"""Scores of slots, name and value: SUPERB's, exact matches, and SLURP's.

SUPERB's (s3prl): ``type_f1`` is the mean over utterances of F1 over the sets of slot names, whatever their values;
the error rates of values pair each value of the reference with the closest value of the same slot in the hypothesis.
SLURP's F1 (Bastianelli et al., "SLURP: a spoken language understanding resource package", 2020) takes slots of one name
as found, and counts the distance of their values as false positives and negatives; distances of words and of characters
are summed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

Slots = Sequence[tuple[str, str]]
"""Name and value of each."""


@dataclass
class SlotScores:
    """The counts of one utterance."""

    type_f1: float
    value_char_errors: int
    value_chars: int
    value_word_errors: int
    value_words: int
    exact: tuple[float, float, float]
    """True positives, false positives and false negatives of slots with name and value."""
    slurp: tuple[float, float, float]


def score(reference: Slots, hypothesis: Slots) -> SlotScores:
    """Compare the slots of an utterance."""
    chars, words = (_value_errors(reference, hypothesis, split) for split in (list, str.split))
    distances = [_slurp(reference, hypothesis, distance) for distance in (_word_distance, _char_distance)]
    return SlotScores(
        _type_f1(reference, hypothesis),
        *chars,
        *words,
        exact=_exact(reference, hypothesis),
        slurp=tuple(map(sum, zip(*distances))),
    )


def _type_f1(reference: Slots, hypothesis: Slots) -> float:
    expected, detected = {name for name, _ in reference}, {name for name, _ in hypothesis}
    if not expected and not detected:
        return 1.0
    return 2 * len(expected & detected) / (len(expected) + len(detected))


def _value_errors(reference: Slots, hypothesis: Slots, split) -> tuple[int, int]:
    """Errors and length, over the values of the reference, each with the closest of the same slot."""
    errors = length = 0
    for name, value in reference:
        units = split(value)
        candidates = [split(text) for own, text in hypothesis if own == name] or [[]]
        errors += min(Levenshtein.distance(units, candidate) for candidate in candidates)
        length += len(units)
    return errors, length


def _exact(reference: Slots, hypothesis: Slots) -> tuple[float, float, float]:
    left = list(reference)
    right = 0
    for slot in hypothesis:
        if slot in left:
            left.remove(slot)
            right += 1
    return right, len(hypothesis) - right, len(left)


def _slurp(reference: Slots, hypothesis: Slots, distance) -> tuple[float, float, float]:
    left = list(reference)
    right = wrong = missing = 0.0
    for name, value in hypothesis:
        costs = [(distance(own, value), place) for place, (other, own) in enumerate(left) if other == name]
        if costs:
            cost, place = min(costs)
            right, wrong, missing = right + 1, wrong + cost, missing + cost
            left.pop(place)
        else:
            wrong += 1
    return right, wrong, missing + len(left)


def _word_distance(reference: str, hypothesis: str) -> float:
    words = reference.split()
    return Levenshtein.distance(words, hypothesis.split()) / len(words)


def _char_distance(reference: str, hypothesis: str) -> float:
    return Levenshtein.normalized_distance(reference, hypothesis)
