"""Cases are ready for the page: words aligned, turns drawn, trials with both sides; and their CSVs have audio paths."""

from __future__ import annotations

import csv

import pytest

from problems.engine.report.audio_clips import Audio, Clips
from problems.engine.report.cases import align, case_list, save
from problems.engine.report.rankings import Ranking, ranked, usual
from tests.conftest import write_table

TURNS = '[[0.0, 0.4, "ann"], [0.3, 0.9, "bob"]]'


@pytest.fixture
def audio(tmp_path) -> Audio:
    """The audio of u1 and of the segment u2, whose files are not there."""
    rows = [
        {"id": "u1", "wav_path": "/data/ü 1.wav", "start_sec": "", "end_sec": ""},
        {"id": "u2", "wav_path": "/data/2.wav", "start_sec": "0.5", "end_sec": "2"},
    ]
    return Audio(write_table(tmp_path / "test.csv", rows), Clips())


def listed(rows, predicts, audio, ranking=None):
    found = ranked(rows, ranking, {}) if ranking else usual(rows, predicts, {})
    return case_list("test", found, predicts, audio)


def read(path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_an_alignment_gives_back_both_texts():
    for reference, hypothesis in (("a b c", "x a c"), ("", "a b"), ("a", ""), ("a b", "b a c d")):
        pairs = align(reference, hypothesis)
        assert [p.reference for p in pairs if p.reference] == reference.split()
        assert [p.hypothesis for p in pairs if p.hypothesis] == hypothesis.split()
        for pair in pairs:
            assert (pair.kind == "hit") == (pair.reference == pair.hypothesis)


def test_a_label_has_the_numbers_that_were_recorded_but_for_the_one_it_is_ranked_by(audio):
    row = {"id": "u1", "reference": "a", "hypothesis": "b" * 300, "loss": "2.5", "confidence": "0.75"}
    (case,) = listed([row], "label", audio).cases
    assert case.value == "2.5" and case.numbers == {"confidence": "0.75"} and not case.is_right
    assert len(case.hypothesis) == 201 and case.clips[0].path == "/data/ü 1.wav"
    (case,) = listed([row], "label", audio, Ranking("confidence")).cases
    assert case.value == "0.75" and case.numbers == {"loss": "2.5"}


def test_turns_are_drawn_and_other_text_is_shown(audio):
    rows = [{"id": id, "reference": TURNS, "hypothesis": h, "loss": "1"} for id, h in (("u1", TURNS), ("u2", "[1]"))]
    drawn, plain = listed(rows, "turns", audio).cases
    assert len(drawn.timeline.rows) == 4 and plain.timeline is None and plain.hypothesis == "[1]"


def test_a_csv_has_the_rows_of_the_predictions_with_the_paths_of_their_audio(audio, tmp_path):
    rows = [{"id": id, "reference": "a", "hypothesis": "b,\n", "loss": loss} for id, loss in (("u1", "1"), ("u2", "2"))]
    (tmp_path / "worst_old.csv").write_text("an earlier list")
    lists = [listed(rows, "label", audio), listed(rows, "label", audio, Ranking("loss", 1, best=True))]
    save(lists, tmp_path, audio)
    assert sorted(path.name for path in tmp_path.glob("*_*.csv")) == ["best_loss.csv", "worst_loss.csv"]
    worst = read(tmp_path / "worst_loss.csv")
    assert [row["id"] for row in worst] == ["u2", "u1"] and worst[0]["hypothesis"] == "b,\n"
    assert [row["wav_path"] for row in worst] == ["/data/2.wav", "/data/ü 1.wav"]
    assert [row["start_sec"] for row in worst] == ["0.5", ""]
    assert [row["id"] for row in read(tmp_path / "best_loss.csv")] == ["u1"]


def test_a_csv_of_trials_has_the_paths_of_both_sides_and_one_of_nothing_a_header(tmp_path):
    row = {"id1": "a", "id2": "b", "wav_path1": "/a.wav", "wav_path2": "/b.wav", "label": "1"}
    audio = Audio(write_table(tmp_path / "test.csv", [row]), Clips())
    trials = [
        {"id1": "a", "id2": "b", "label": "1", "score": "-1"},
        {"id1": "b", "id2": "a", "label": "0", "score": "1"},
    ]
    own = listed(trials, "trials", audio)
    save([own], tmp_path, audio)
    (path,) = tmp_path.glob("worst_*.csv")
    assert {(row["wav_path1"], row["wav_path2"]) for row in read(path)} <= {("/a.wav", "/b.wav"), ("/b.wav", "/a.wav")}
    assert [case.reference for case in own.cases] and own.cases[0].clips[0].path.endswith(".wav")
    save([listed([], "trials", audio)], tmp_path, audio)
    assert (tmp_path / "worst_score.csv").read_text() == "id1,wav_path1,id2,wav_path2\n"
