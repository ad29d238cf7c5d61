"""The event encoder: the labels of all training events, and errors that name a cell that holds no events."""

from __future__ import annotations

import pytest

from dataset.encoders import EncoderError, build_encoder, load_encoder
from dataset.encoders.events import events_of

TEXTS = ['[[0, 1, "door ü"], [0.5, 2, "bell"]]', "[]", "", '[[1, 1.5, "bell"]]']


def test_labels_of_all_recordings_are_numbered_and_come_back(tmp_path):
    encoder = build_encoder("events", TEXTS)
    assert encoder.labels == ("bell", "door ü") and encoder.counts == (2, 1) and encoder.decode(1) == "door ü"
    assert encoder.unknown('[[0, 1, "siren"], [0, 1, "bell"]]') == {"siren"} and encoder.unknown("") == set()
    encoder.save(tmp_path)
    assert load_encoder(tmp_path) == encoder and len(encoder) == 2


def test_labels_of_events_are_those_of_the_encoder_however_they_are_written():
    text = '[[0, 1, " door   ü "], [1, 2, 60]]'
    assert events_of(text) == [(0.0, 1.0, "door ü"), (1.0, 2.0, "60")]
    assert build_encoder("events", [text]).labels == ("60", "door ü")
    assert build_encoder("events", TEXTS).unknown(text) == {"60"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bell", "events: expected a JSON list of .start, end, label., got 'bell'"),
        ('[["bell", 0, 1]]', "expected a JSON list"),
        ('[[2, 1, "bell"]]', "'bell' is from 2 s to 1 s; expected two rising times from 0"),
        ('[[-1, 1, "bell"]]', "from -1 s"),
        ('[[0, NaN, "bell"]]', "to nan s"),
        ('[[0, Infinity, "bell"]]', "to inf s"),
        ('[[0, 1, ""]]', "a label is empty"),
    ],
)
def test_a_cell_that_holds_no_events_is_refused(text, words):
    with pytest.raises(EncoderError, match=words):
        build_encoder("events", [TEXTS[0], text])


def test_the_cell_at_fault_is_told_and_a_set_without_events_is_refused():
    with pytest.raises(EncoderError) as error:
        build_encoder("events", [TEXTS[0], "", "x"])
    assert error.value.place == 2
    with pytest.raises(EncoderError, match="no training recording has an event"):
        build_encoder("events", ["[]", ""])
