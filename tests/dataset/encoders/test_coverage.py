"""Unknown symbols are a warning, and unknown labels an error, both with the place of the first."""

from __future__ import annotations

import logging

import pandas as pd
import pytest

from dataset.corpora import CorpusError
from dataset.encoders import build_encoder
from dataset.encoders.coverage import require_known, warn_of_unknown


def table(**columns: list[str]) -> pd.DataFrame:
    number = len(next(iter(columns.values())))
    return pd.DataFrame({"id": [f"u{index}" for index in range(number)], **columns}, dtype=str)


def test_unknown_symbols_are_logged_with_their_number_and_the_first_utterance(caplog):
    encoder = build_encoder("character", ["go"])
    with caplog.at_level(logging.WARNING):
        warn_of_unknown(encoder, table(text=["go", "gö", "ö!"]), "text", "test.csv")
    assert "test.csv has 2 symbols" in caplog.text
    assert "'ö' (2 utterances, first u1)" in caplog.text and "'!' (1 utterance, first u2)" in caplog.text


def test_the_five_most_frequent_unknown_symbols_are_listed(caplog):
    with caplog.at_level(logging.WARNING):
        warn_of_unknown(build_encoder("character", ["go"]), table(text=["abcde", "abcdef"]), "text", "test.csv")
    assert "6 symbols" in caplog.text and "'e' (2 utt" in caplog.text and "'f'" not in caplog.text


def test_known_symbols_are_not_mentioned(caplog):
    with caplog.at_level(logging.WARNING):
        warn_of_unknown(build_encoder("character", ["go"]), table(text=["og"]), "text", "test.csv")
    assert not caplog.records


def test_unknown_labels_are_refused_with_their_rows():
    encoder = build_encoder("category", ["up", "down"])
    require_known(encoder, table(label=["down", "up"]), "label", "valid.csv")
    with pytest.raises(CorpusError, match=r"valid.csv has 1 label .*'left' \(row 3, u1\)"):
        require_known(encoder, table(label=["up", "left", "left"]), "label", "valid.csv")


def test_a_long_list_of_unknown_labels_is_cut():
    labels = [f"l{index:02}" for index in range(12)]
    with pytest.raises(CorpusError) as caught:
        require_known(build_encoder("category", ["up", "down"]), table(label=labels), "label", "valid.csv")
    message = str(caught.value)
    assert "12 labels" in message and "'l09' (row 11, u9), ... and 2 more" in message and "l10" not in message
    with pytest.raises(CorpusError) as caught:
        require_known(build_encoder("category", ["up", "down"]), table(label=labels[:10]), "label", "valid.csv")
    assert "'l09'" in str(caught.value) and "more;" not in str(caught.value)


def test_a_label_that_cannot_be_read_is_named_with_its_row():
    encoder = build_encoder("categories", ["on ; light", "off ; radio"])
    with pytest.raises(CorpusError, match=r"test.csv, row 3 \(u1\): .*1 parts"):
        require_known(encoder, table(labels=["on ; radio", "on"]), "labels", "test.csv")


def test_a_text_that_cannot_be_read_is_named_with_its_row():
    encoder = build_encoder("events", ['[[0, 1, "bell"]]'])
    for check in (warn_of_unknown, require_known):
        with pytest.raises(CorpusError, match=r"test.csv, row 3 \(u1\): events: expected a JSON list"):
            check(encoder, table(events=["[]", "bell"]), "events", "test.csv")


def test_the_unit_of_what_is_unknown_can_be_named(caplog):
    with caplog.at_level(logging.WARNING):
        encoder = build_encoder("events", ['[[0, 1, "bell"]]'])
        warn_of_unknown(encoder, table(events=['[[0, 1, "siren"]]']), "events", "test.csv", unit="label")
    assert "test.csv has 1 label missing" in caplog.text
