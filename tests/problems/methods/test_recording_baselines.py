"""Trivial models of recordings: their metrics follow from the turns and events."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile

from problems.methods.recording_baselines import of_events, of_turns
from tests.conftest import write_table


def test_one_speaker_throughout_is_scored_as_the_model_is(tmp_path):
    row = {"id": "r", "wav_path": "r.wav", "seconds": "3", "turns": '[[0, 1, "a"], [2, 3, "a"]]', "scored": "[[2, 3]]"}
    path = write_table(tmp_path / "test.csv", [row])
    of_spans = of_turns([str(path)], collar=0.0, skip_overlap=False)
    assert of_spans["test"]["one speaker throughout"]["der"] == 0
    path = write_table(tmp_path / "test.csv", [row | {"scored": ""}])
    assert of_turns([str(path)], collar=0.0, skip_overlap=False)["test"]["one speaker throughout"]["der"] == 0.5


def test_the_most_frequent_label_is_found_where_it_is_loud(tmp_path):
    """Two tones a recording: the trivial model calls both by the label that training has most often."""
    wav = 0.001 * np.random.default_rng(0).standard_normal(4 * 16000)
    for first in (8000, 40000):
        wav[first : first + 8000] += 0.3 * np.sin(np.arange(8000))
    soundfile.write(tmp_path / "ü.wav", wav, 16000)
    row = {"id": "a", "wav_path": str(tmp_path / "ü.wav"), "seconds": "4"}
    own = {"frequent": [[0.5, 1.0, "frequent"], [2.5, 3.0, "rare"]], "none": []}
    rows = [row | {"id": name, "events": json.dumps(events)} for name, events in own.items()]
    train = write_table(tmp_path / "train.csv", [{"id": "t", "events": '[[0, 1, "frequent"], [1, 2, "frequent"]]'}])
    for number, expected in (
        (1, {"onset_f1": 2 / 4, "segment_er": 1 / 2}),
        (2, {"onset_f1": 2 / 6, "segment_er": 3 / 2}),
    ):
        test = write_table(tmp_path / "test.csv", rows[:number])
        (metrics,) = of_events(str(train), [str(test)], collar=0.2, offset_share=0.2, segment=2.0)["test"].values()
        assert metrics == pytest.approx(expected)
    test = write_table(tmp_path / "test.csv", rows[1:])
    assert of_events(str(train), [str(test)])["test"]["most frequent label where it is loud"] == {"onset_f1": 0}
