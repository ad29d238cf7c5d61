"""A sentence that cannot be synthesised is refused by its id."""

from __future__ import annotations

import pytest

from dataset.espeak.sentence import ToySentence, check


@pytest.mark.parametrize(
    ("sentences", "message"),
    [
        ([ToySentence("a/b", "x")], "sentence 'a/b': expected an id of letters"),
        ([ToySentence("a", "x"), ToySentence("a", "y")], "two sentences have the id 'a'"),
        ([ToySentence("a", "...")], "sentence 'a': expected a text with a word, got '...'"),
        ([ToySentence("a", "x", rate=10)], "expected a rate of 80-450 words a minute, got 10"),
        ([ToySentence("a", "x", pitch=100)], "expected a pitch of 0-99, got 100"),
        ([ToySentence("a", "x", pitch_range=100)], "expected a pitch_range of 0-99, got 100"),
    ],
)
def test_mistakes_are_named(sentences, message):
    with pytest.raises(ValueError, match=message):
        check(sentences)
