"""Guessed phones equal those of g2p_en, whose weights they come from."""

from __future__ import annotations

import importlib
import sys
from types import SimpleNamespace

import pytest

from dataset.language.guessing import PHONES, Guesser
from tests.parts.packages import needs_g2p

WORDS = ["soundstage", "hale's", "quixotically", "a", "zzz", "Rodolfo"]


@pytest.fixture
def theirs(monkeypatch):
    """g2p_en's network; its module would ask the network for data of nltk, which prediction does not use."""
    nltk = pytest.importorskip("nltk")
    monkeypatch.setattr(nltk.data, "find", lambda name: name)
    module = importlib.import_module("g2p_en.g2p")
    monkeypatch.setattr(module, "cmudict", SimpleNamespace(dict=dict))
    return module.G2p()


@needs_g2p
def test_guesses_are_those_of_g2p_en(theirs):
    guess = Guesser()
    assert [guess(word) for word in WORDS] == [
        " ".join(theirs.predict(word.lower().replace("'", ""))) for word in WORDS
    ]
    assert PHONES[4:] == theirs.phonemes[4:]


@needs_g2p
def test_words_of_other_characters_are_refused():
    assert Guesser.can_read("o'Hara") and not Guesser.can_read("naïve") and not Guesser.can_read("r2d2")
    with pytest.raises(ValueError, match="'4th' is no English word"):
        Guesser()("4th")


@needs_g2p
def test_nothing_of_the_package_is_imported():
    """Importing it would download data."""
    for name in [name for name in sys.modules if name.split(".")[0] == "g2p_en"]:
        del sys.modules[name]
    Guesser()("word")
    assert "g2p_en" not in sys.modules
