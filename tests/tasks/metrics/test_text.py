"""Error counts equal torchaudio's, and corpus rates jiwer's."""

from __future__ import annotations

import math
import random

import jiwer
import pytest
from torchaudio.functional import edit_distance

from tasks.metrics.text import ErrorCounts, char_errors, corpus_rate, error_counts, word_errors

WORDS = ["a", "b", "naïve", "東京", "can't", "null", "🙂", "B"]


def random_texts(count: int, shortest: int = 0) -> list[str]:
    draw = random.Random(3)
    return [" ".join(draw.choices(WORDS, k=draw.randint(shortest, 8))) for _ in range(count)]


@pytest.mark.parametrize("units, ours", [(str.split, word_errors), (list, char_errors)])
def test_errors_equal_torchaudio_on_random_text(units, ours):
    references, hypotheses = random_texts(200), random_texts(400)[200:]
    for reference, hypothesis in zip(references, hypotheses):
        counts = ours(reference, hypothesis)
        assert counts.errors == edit_distance(units(reference), units(hypothesis))
        assert counts.reference_length == len(units(reference))
        assert counts.hits + counts.substitutions + counts.insertions == len(units(hypothesis))


def test_corpus_rates_equal_jiwer():
    references, hypotheses = random_texts(100, shortest=1), random_texts(200)[100:]
    pairs = list(zip(references, hypotheses))
    wer, words = corpus_rate((word_errors(*pair) for pair in pairs), "word")
    cer, chars = corpus_rate((char_errors(*pair) for pair in pairs), "character")
    for rate, counts, theirs in (
        (wer, words, jiwer.process_words(references, hypotheses)),
        (cer, chars, jiwer.process_characters(references, hypotheses)),
    ):
        assert rate == (theirs.wer if counts is words else theirs.cer)
        assert counts == ErrorCounts(theirs.hits, theirs.substitutions, theirs.deletions, theirs.insertions)


def test_known_alignment():
    assert error_counts("kitten", "sitting") == ErrorCounts(hits=4, substitutions=2, insertions=1)
    assert word_errors("the cat sat", "cat sat down") == ErrorCounts(hits=2, deletions=1, insertions=1)


def test_empty_reference_and_hypothesis():
    assert word_errors("", "") == ErrorCounts() and ErrorCounts().rate == 0.0
    assert word_errors("", "a b") == ErrorCounts(insertions=2) and word_errors("", "a b").rate == math.inf
    assert word_errors("a b", " ") == ErrorCounts(deletions=2) and word_errors("a b", " ").rate == 1.0


def test_insertions_on_silence_count_in_the_corpus_but_a_corpus_of_silence_is_refused():
    assert corpus_rate([word_errors("", "a"), word_errors("b c", "b c")], "word")[0] == 0.5
    with pytest.raises(ValueError, match="all 2 utterances holds a word"):
        corpus_rate([word_errors("", "a"), word_errors(" ", "")], "word")


def test_white_space_is_no_error_and_case_is():
    assert word_errors(" a  b\n", "a b").errors == 0
    assert char_errors(" a  b\n", "a b").errors == 0
    assert word_errors("A b", "a b").errors == 1
