"""Words for messages: counts, amounts of speech, suggestions."""

from __future__ import annotations

from dataset.wording import count, nearest, speech_length


def test_counts_agree_with_their_unit():
    assert [count(n, "utterance") for n in (0, 1, 2, 12345)] == (
        ["0 utterances", "1 utterance", "2 utterances", "12,345 utterances"]
    )
    assert count(1, "UTTERANCE") == "1 UTTERANCE" and count(2, "UTTERANCE") == "2 UTTERANCES"


def test_an_amount_of_speech_has_a_fitting_unit():
    assert [speech_length(s) for s in (0, 31.24, 60, 90, 3600, 7200)] == (
        ["0.0 s", "31.2 s", "1.0 min", "1.5 min", "1.0 h", "2.0 h"]
    )


def test_the_nearest_word_is_suggested_if_one_is_near():
    assert nearest("hapy", ["angry", "happy"]) == " (did you mean 'happy'?)"
    assert nearest("xyz", ["angry", "happy"]) == "" == nearest("happy", [])
