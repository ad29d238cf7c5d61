"""Turns are read from RTTM, UEM and JSON, and written so that they are read again."""

from __future__ import annotations

import pytest

from dataset.diarization.turns import Turn, TurnsError, from_json, read_rttm, read_uem, rttm_lines, to_json

TURNS = [Turn(0.0, 1.5, "a"), Turn(1.25, 3.0, "Zoë")]


def test_what_is_written_is_read_again(tmp_path):
    (tmp_path / "x.rttm").write_text(rttm_lines("rec 1", TURNS), encoding="utf-8")
    assert read_rttm(tmp_path / "x.rttm") == read_rttm(tmp_path) == {"rec_1": TURNS}
    assert from_json(to_json(TURNS)) == TURNS


def test_other_lines_comments_and_empty_turns_are_left_out(tmp_path):
    (tmp_path / "x.rttm").write_text(
        ";; made by hand\n\nSPKR-INFO r 1 <NA> <NA> <NA> unknown a <NA>\nSPEAKER r 1 2 0 <NA> <NA> a <NA> <NA>\n"
        "SPEAKER r 1 1 .5 <NA> <NA> b <NA> <NA>\n"
    )
    assert read_rttm(tmp_path / "x.rttm") == {"r": [Turn(1.0, 1.5, "b")]}


def test_uem(tmp_path):
    (tmp_path / "x.uem").write_text("r NA 0.0 10.5\nr NA 20 30\n")
    assert read_uem(tmp_path / "x.uem") == {"r": [(0.0, 10.5), (20.0, 30.0)]}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("SPEAKER r 1 0.0", "line 1: expected 8 fields or more, got 4"),
        ("SPEAKER r 1 x 1 <NA> <NA> a <NA> <NA>", "expected two times in seconds, got x and 1"),
        ("SPEAKER r 1 nan 1 <NA> <NA> a <NA> <NA>", "two times"),
        ("SPEAKER r 1 1 -1 <NA> <NA> a <NA> <NA>", "two times"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, line, words):
    (tmp_path / "x.rttm").write_text(line)
    with pytest.raises(TurnsError, match=words):
        read_rttm(tmp_path / "x.rttm")
    with pytest.raises(TurnsError, match="no .rttm file"):
        read_rttm(tmp_path / "none.rttm")


@pytest.mark.parametrize("text", ["{}x", "[[1, 2]]", '[["a", 1, "b"]]', "3"])
def test_a_wrong_cell_is_refused(text):
    with pytest.raises(ValueError, match="expected a JSON list of"):
        from_json(text)
