"""Lexicons: first pronunciations, without stress, and the words that are missing by name."""

from __future__ import annotations

import pytest

from dataset.language.pronunciations import LexiconError, read_lexicon, to_phones

CMUDICT = """;;; a comment
HELLO  HH AH0 L OW1
hello(2) HH EH0 L OW1
read  R EH1 D # verb
READ(2)\tR IY1 D

don't D OW1 N T
"""


@pytest.fixture
def path(tmp_path):
    (tmp_path / "lexicon ü.txt").write_text(CMUDICT, encoding="utf-8")
    return tmp_path / "lexicon ü.txt"


def test_the_first_pronunciation_of_each_word_is_read(path):
    assert read_lexicon(path) == {"hello": "HH AH L OW", "read": "R EH D", "don't": "D OW N T"}
    assert read_lexicon(path, stress=True)["hello"] == "HH AH0 L OW1"


def test_texts_become_phones(path):
    assert to_phones(["Hello  don't", ""], read_lexicon(path), path) == ["HH AH L OW D OW N T", ""]


def test_missing_words_are_listed_the_most_frequent_first(path):
    with pytest.raises(LexiconError, match=r"lacks 2 words of the transcripts: bye .2., world .1.; add them"):
        to_phones(["hello world", "bye bye"], read_lexicon(path), path)


def test_a_file_that_is_no_lexicon_is_named(tmp_path):
    with pytest.raises(LexiconError, match="none.txt: the lexicon cannot be read"):
        read_lexicon(tmp_path / "none.txt")
    (tmp_path / "empty.txt").write_text(";;; nothing\n")
    with pytest.raises(LexiconError, match="holds no word"):
        read_lexicon(tmp_path / "empty.txt")
    (tmp_path / "bad.txt").write_text("hello\n")
    with pytest.raises(LexiconError, match="line 1: 'hello' has no phones"):
        read_lexicon(tmp_path / "bad.txt")
