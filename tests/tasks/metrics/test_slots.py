"""Scores of slots equal a second writing of SUPERB's definitions, and worked examples of SLURP's."""

from __future__ import annotations

import random

import jiwer
import pytest

from tasks.metrics.slots import score


def superb(pairs):
    """Slot type F1, and CER and WER of slot values, of lists of (name, value), as SUPERB defines them."""
    f1s, values = [], []
    for reference, hypothesis in pairs:
        expected, found = {}, {}
        for name, value in reference:
            expected.setdefault(name, []).append(value)
        for name, value in hypothesis:
            found.setdefault(name, []).append(value)
        if not expected and not found:
            f1s.append(1.0)
        elif not expected or not found:
            f1s.append(0.0)
        else:
            recall = sum(name in found for name in expected) / len(expected)
            precision = sum(name in expected for name in found) / len(found)
            f1s.append(2 * precision * recall / (precision + recall) if precision + recall else 0.0)
        for name, own in expected.items():
            for value in own:
                others = found.get(name)
                chars = min((jiwer.cer(value, other) for other in others), default=1.0) if others else 1.0
                words = min((jiwer.wer(value, other) for other in others), default=1.0) if others else 1.0
                values.append((chars * len(value), len(value), words * len(value.split()), len(value.split())))
    sums = [sum(column) for column in zip(*values)]
    return sum(f1s) / len(f1s), sums[0] / sums[1], sums[2] / sums[3]


def random_slots(rng):
    words = "five six am pm oslo rome a".split()
    number = rng.randrange(4)
    return [(rng.choice("xyz"), " ".join(rng.choices(words, k=rng.randint(1, 3)))) for _ in range(number)]


def test_superbs_scores():
    rng = random.Random(0)
    pairs = []
    for _ in range(300):
        reference = random_slots(rng)
        pairs.append((reference, reference if rng.random() < 0.3 else random_slots(rng)))
    found = [score(*pair) for pair in pairs]
    f1, cer, wer = superb(pairs)
    assert sum(own.type_f1 for own in found) / len(found) == pytest.approx(f1)
    assert sum(own.value_char_errors for own in found) / sum(own.value_chars for own in found) == pytest.approx(cer)
    assert sum(own.value_word_errors for own in found) / sum(own.value_words for own in found) == pytest.approx(wer)


def test_exact_matches_count_each_slot_once():
    found = score([("x", "a"), ("x", "a"), ("y", "b")], [("x", "a"), ("y", "c"), ("z", "a")])
    assert found.exact == (1, 2, 2)


def test_slurps_counts():
    """A slot that is found costs the distance of its value, by words and by characters."""
    one = score([("time", "five am")], [("time", "nine am")])
    assert one.slurp == (2, pytest.approx(1 / 2 + 2 / 7), pytest.approx(1 / 2 + 2 / 7))  # one of two words; f-n, v-n
    missed = score([("time", "five"), ("date", "monday")], [("time", "five")])
    assert missed.slurp == (2, 0, 2)
    extra = score([], [("time", "five")])
    assert extra.slurp == (0, 2, 0)
    closest = score([("x", "one two"), ("x", "three")], [("x", "three")])
    assert closest.slurp == (2, 0, 2)
