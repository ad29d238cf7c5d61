"""A CSV with a row for each event: recordings with all their events, and errors that name file and line."""

from __future__ import annotations

import json

import pytest

from dataset.corpora import CorpusError
from dataset.corpora.csv_events import CsvEvents


def rows(folder, text: str, **settings) -> dict[str, dict[str, str]]:
    (folder / "events.csv").write_text(text, encoding="utf-8")
    corpus = CsvEvents(train=str(folder / "events.csv"), test_fraction=0.3, valid_fraction=0.3, **settings)
    splits = corpus.load(folder)
    return {row["id"]: row for row in (*splits.train, *splits.valid, *splits.test["test"])}


def test_the_events_of_a_recording_are_one_cell(tmp_path):
    lines = ["a b.wav,door ü,2,3,r", "a b.wav,bell,0.5,1,r", "c.wav,,,,s", "d.wav,bell,0,1,s"]
    found = rows(tmp_path, "\n".join(["wav_path,label,start_sec,end_sec,room", *lines, ""]))
    assert json.loads(found["a b"]["events"]) == [[0.5, 1.0, "bell"], [2.0, 3.0, "door ü"]]
    assert found["c"]["events"] == "[]" and found["a b"]["room"] == "r"
    assert not {"label", "start_sec", "end_sec", "turns", "speaker"} & found["a b"].keys()


def test_columns_may_have_other_names(tmp_path):
    text = "file,sound,from,to\n" + "".join(f"{name}.wav,bell,0,1\n" for name in "abc")
    columns = {"wav_path": "file", "label": "sound", "start_sec": "from", "end_sec": "to"}
    assert [row["events"] for row in rows(tmp_path, text, columns=columns).values()] == ['[[0.0, 1.0, "bell"]]'] * 3


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a.wav,bell,x,1", "events.csv, line 2: an event of 'bell' is from 'x' to '1'; expected two times in seconds"),
        ("a.wav,bell,2,1", "line 2: an event of 'bell'"),
    ],
)
def test_wrong_times_are_named(tmp_path, line, words):
    with pytest.raises(CorpusError, match=words):
        rows(tmp_path, f"wav_path,label,start_sec,end_sec\n{line}\n")


def test_a_missing_column_and_a_division_by_label_are_refused(tmp_path):
    with pytest.raises(CorpusError, match="has no column 'label'"):
        rows(tmp_path, "wav_path,start_sec,end_sec\na.wav,0,1\n")
    with pytest.raises(CorpusError, match="recordings have several labels"):
        rows(tmp_path, "wav_path,label,start_sec,end_sec\na.wav,bell,0,1\n", split_by="label")
