"""A toy keyword is the word that is spoken, another word, or noise alone."""

from __future__ import annotations

from dataset.corpora.toy_keywords import KEYWORDS, SILENCE, UNKNOWN, ToyKeywords


def test_the_label_is_the_spoken_word():
    for lines in ToyKeywords().plan().values():
        for p in lines:
            label = p.columns["label"]
            assert label in (*KEYWORDS, UNKNOWN, SILENCE)
            if label == UNKNOWN:
                assert p.sentence.text not in KEYWORDS
            elif label == SILENCE:
                assert p.sentence.gain_db < -100 and p.columns["speaker"] == ""
            else:
                assert p.sentence.text == label
