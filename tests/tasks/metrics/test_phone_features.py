"""PFER equals panphon's own edit distance, for every symbol of the toy corpus too."""

from __future__ import annotations

import random
import sys

import pytest

from tasks.metrics.phone_features import PhoneFeatures

SEGMENTS = "p b t d k ɡ f v s z ʃ ʒ m n ŋ l ɹ j w i iː ɪ e ɛ æ a ɑː ɔ o ʊ uː ʌ ə ɜː t͡ʃ".split()


@pytest.fixture
def distance():
    return pytest.importorskip("panphon.distance").Distance()


def test_distances_are_those_of_panphon(distance):
    rng, features = random.Random(0), PhoneFeatures()
    for _ in range(100):
        reference, hypothesis = ([rng.choice(SEGMENTS) for _ in range(rng.randrange(12))] for _ in range(2))
        vectors = [distance.fm.word_to_vector_list("".join(side), numeric=True) for side in (reference, hypothesis)]
        one = [lambda vector: 1] * 2
        expected = distance.min_edit_distance(*one, distance.hamming_substitution_cost, [[]], *vectors)
        own = features.errors(reference, hypothesis)
        assert own.distance == pytest.approx(expected) and own.segments == len(vectors[0])
    assert own.distance == pytest.approx(
        distance.hamming_feature_edit_distance("".join(reference), "".join(hypothesis))
    )


def test_a_voiced_stop_for_a_voiceless_one_is_one_feature_of_24(distance):
    errors = PhoneFeatures().errors(["p", "ˈaɪ"], ["b", "aɪ"])
    assert errors.distance == pytest.approx(1 / 24) and errors.segments == 3


def test_symbols_that_panphon_spells_otherwise_are_known_and_others_refused(distance):
    features = PhoneFeatures()
    assert features.unknown(["ɚ", "ᵻ", "g", "ˈɑːɹ", "tʃ", "õ", "AA1", "h#"]) == ["AA1", "h#"]
    assert features.errors(["g"], ["ɡ"]).distance == 0 and features.errors(["g", "a"], ["⁇", "a"]).distance == 1
    with pytest.raises(ValueError, match="PFER is of IPA symbols; panphon does not know h#"):
        features.errors(["h#"], ["a"])


def test_the_extra_is_named_if_panphon_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "panphon", None)
    with pytest.raises(ImportError, match=r"soundstage\[phones\]"):
        PhoneFeatures()
