"""IPA by eSpeak NG: the phones of the toy corpus, words in context, and the features that PFER needs."""

from __future__ import annotations

import pytest

from dataset.espeak import apart, ipa, synthesise
from dataset.espeak.ipa import EspeakError, to_ipa
from dataset.espeak.sentence import ToySentence
from tests.parts.corpora import needs_espeak

pytestmark = needs_espeak

TEXT = "the old man bought seven red apples at the station"


def test_the_phones_of_a_text_are_those_that_eSpeak_speaks(tmp_path):
    (spoken,) = synthesise([ToySentence("a", TEXT)], tmp_path)
    assert "".join(to_ipa([TEXT], stress=True)[0].split()) == "".join(label for *_, label in spoken.phones)


def test_words_are_read_in_their_context_and_numbers_aloud():
    assert to_ipa(["a cat, an apple\n1999"]) == ["ɐ k æ t ɐ n æ p əl n aɪ n t iː n h ʌ n d ɹ ɪ d n aɪ n t i n aɪ n"]
    assert to_ipa(["hello"], stress=True) == ["h ə l ˈoʊ"]
    assert to_ipa(["", "...", "a\0b"])[:2] == ["", ""] and len(to_ipa(["a\0b"])[0].split()) > 1


def test_marks_of_other_languages_and_of_links_are_no_phones():
    (phones,) = to_ipa(["quatsch, Jeans"], "de")
    assert phones.endswith("dʒ iː n z") and "(" not in phones
    assert to_ipa(["ma sœur"], "fr") == ["m a s œ ʁ"]


def test_pfer_knows_its_symbols():
    pytest.importorskip("panphon")
    from tasks.metrics.phone_features import PhoneFeatures

    for language in ("en-us", "en-gb-x-rp", "de", "fr", "pl", "fi"):
        symbols = set(" ".join(to_ipa([TEXT, "jardin Häuser quatsch żółć", "Zwölf große Kühe"], language)).split())
        assert not PhoneFeatures().unknown(sorted(symbols))


def test_what_is_missing_is_named(monkeypatch):
    with pytest.raises(EspeakError, match="no language 'fr-fr' .did you mean .*expected one of af, am"):
        to_ipa(["a"], "fr-fr")
    with pytest.raises(EspeakError, match="no phones of fo: it was built without the dictionary"):
        to_ipa(["góðan dag"], "fo")
    assert to_ipa(["..."], "fr") == [""]
    monkeypatch.setattr(apart, "BOOTSTRAP", "import os; os.kill(os.getpid(), 11)")
    with pytest.raises(EspeakError, match="no phones of fr: its process ended with signal 11 and no output"):
        to_ipa(["a"], "fr")
    monkeypatch.setattr(ipa, "locate", lambda: None)
    with pytest.raises(EspeakError, match=r"soundstage\[toy\]"):
        to_ipa(["a"])
