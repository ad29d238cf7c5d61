"""Toy events: the audio is what the events say, at the levels that were drawn, and the bytes are fixed."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dataset.corpora.toy_events import GAP_SEC, LABELS, NUM_EVENTS, RATIOS, SECONDS, WORDS, ToyEvents
from tests.parts.corpora import are_disjoint, needs_espeak, rows_by_split

SMALL = {"num_train": 24, "num_valid": 4, "num_test": 6}
pytestmark = needs_espeak


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    return ToyEvents(**SMALL).load(tmp_path_factory.mktemp("cache ü"))


def events_of(row) -> list[tuple[float, float, str]]:
    return [tuple(event) for event in json.loads(row["events"])]


def test_each_recording_has_a_few_events_that_do_not_touch_their_like(splits):
    for row in (row for own in rows_by_split(splits).values() for row in own):
        events = events_of(row)
        assert events == sorted(events) and 1 <= len(events) <= NUM_EVENTS[1]
        for label in LABELS:
            own = [event for event in events if event[2] == label]
            assert all(after[0] - before[1] >= GAP_SEC - 1e-3 for before, after in zip(own, own[1:]))
    count = Counter(label for row in splits.train for _, _, label in events_of(row))
    assert set(count) == set(LABELS) and max(count.values()) <= 1.5 * min(count.values())


def test_an_event_is_as_loud_as_its_ratio_and_nothing_else_is_heard(splits):
    for row in splits.train:
        wav, rate = soundfile.read(row["wav_path"])
        assert (rate, len(wav)) == (16000, SECONDS * 16000) and float(row["seconds"]) == SECONDS
        is_event = np.zeros(len(wav), bool)
        for start, end, _ in events_of(row):
            is_event[int(start * rate) : int(end * rate) + 1] = True
        noise = (wav[~is_event] ** 2).mean()
        assert np.abs(wav[~is_event]).max() < 8 * noise**0.5
        for start, end, label in events_of(row):
            loud = (wav[int(start * rate) : int(end * rate)] ** 2).mean()
            assert 10 * np.log10(loud / noise) > RATIOS[0] - 2, label


def test_words_are_said_by_other_voices_in_each_split():
    plan = ToyEvents(**SMALL).plan()
    assert are_disjoint({split: {p.sentence.voice for p in lines} for split, lines in plan.items()})
    assert {p.sentence.text for p in plan["train"]} == set(WORDS)


def test_two_caches_get_the_same_bytes_in_folders_that_are_named(splits, tmp_path):
    corpus = ToyEvents(**SMALL)
    again = corpus.load(tmp_path)
    for a, b in zip(splits.train, again.train):
        assert Path(a["wav_path"]).read_bytes() == Path(b["wav_path"]).read_bytes()
        assert {**a, "wav_path": ""} == {**b, "wav_path": ""}
    assert Path(again.train[0]["wav_path"]).parent in corpus.made_audio(tmp_path)
    other = ToyEvents(**SMALL, seed=1).load(tmp_path)
    assert (
        other.train[0]["events"] != again.train[0]["events"]
        and other.train[0]["wav_path"] != again.train[0]["wav_path"]
    )


def test_what_is_drawn_is_the_version_that_is_kept_in_caches(splits):
    """If this digest changes, so must VERSION (a cache would give the audio of others) and the results in docs."""
    text = repr([(row["id"], row["events"]) for own in rows_by_split(splits).values() for row in own])
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "41db98e3f9b9b24c"
