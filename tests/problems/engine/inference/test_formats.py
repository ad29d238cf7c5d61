"""Formats of predictions, each read back by a second reader."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest

from dataset.diarization.turns import read_rttm
from problems.engine.inference.formats import FORMATS, check
from problems.engine.inference.output import StreamOutput
from problems.engine.inference.timed_formats import captions, ctm, textgrid
from problems.engine.runtime.errors import ConfigError
from tasks.results import Alignment, Label, Segment, Transcript, Turns

WORDS = [Segment(0.5, 0.9, "turn", 0.9), Segment(0.95, 1.2, 'the "lamp"', 0.5), Segment(3.0, 3.25, "<on> & off", 1.0)]
TEXT = Transcript('turn the "lamp" <on> & off', WORDS, source="a folder/my file.wav", seconds=4.0)
SPEECH = Turns(
    [Segment(0.0, 2.5, "speaker1"), Segment(2.0, 3.0, "speaker2"), Segment(3.5, 4.0, "speaker1")],
    source="/x/meeting.flac",
    seconds=4.0,
)


def stream(name: str, *results) -> str:
    file = io.StringIO()
    output = StreamOutput(file, name)
    for result in results:
        output.write(result)
    output.close()
    return file.getvalue()


def test_json_and_its_lines_hold_everything():
    lines = [json.loads(line) for line in stream("jsonl", TEXT, SPEECH).splitlines()]
    for name, results in (("json", json.loads(stream("json", TEXT, SPEECH))), ("jsonl", lines)):
        assert results[0]["source"] == TEXT.source and results[0]["text"] == TEXT.text, name
        assert results[0]["words"][1] == {"start": 0.95, "end": 1.2, "text": 'the "lamp"', "confidence": 0.5}
        assert results[1]["turns"][0] == {"start": 0.0, "end": 2.5, "text": "speaker1"}
    assert json.loads(stream("json")) == []


def test_csv_has_a_header_and_json_in_its_cells():
    label = Label.of({"yes": 0.75, 'n"o': 0.25})
    label.source, label.seconds = "a,b.wav", 1.5
    rows = list(csv.DictReader(io.StringIO(stream("csv", label, label))))
    assert len(rows) == 2 and rows[0]["source"] == "a,b.wav" and rows[0]["label"] == "yes"
    assert json.loads(rows[1]["probabilities"]) == {"yes": 0.75, 'n"o': 0.25}


def test_ctm_has_six_columns():
    rows = [line.split(" ") for line in stream("ctm", TEXT).splitlines()]
    assert rows[0] == ["my_file", "1", "0.500", "0.400", "turn", "0.9000"]
    assert all(len(row) == 6 for row in rows)


def test_rttm_is_read_back(tmp_path):
    (tmp_path / "x.rttm").write_text(stream("rttm", SPEECH), "utf-8")
    turns = read_rttm(tmp_path / "x.rttm")["meeting"]
    assert [(turn.start, turn.end, turn.speaker) for turn in turns] == [(s.start, s.end, s.text) for s in SPEECH.turns]


@pytest.mark.parametrize("result", [TEXT, SPEECH, Transcript("", [], source="x.wav", seconds=2.0)])
def test_textgrids_are_read_back_by_praatio(tmp_path, result):
    textgrid = pytest.importorskip("praatio.textgrid", reason="needs praatio")
    (tmp_path / "x.TextGrid").write_text(stream("textgrid", result), "utf-8")
    grid = textgrid.openTextgrid(str(tmp_path / "x.TextGrid"), includeEmptyIntervals=False)
    assert grid.maxTimestamp == result.seconds
    for name, segments in result.tiers().items():
        entries = [] if not segments else [tuple(own) for own in grid.getTier(name).entries]
        assert entries == [(own.start, own.end, own.text) for own in segments]


def test_overlaps_in_a_tier_are_cut_and_nothing_is_lost():
    crossed = Transcript("a b", [Segment(0.0, 1.0, "a"), Segment(0.5, 2.0, "b")], source="x", seconds=2.0)
    text = stream("textgrid", crossed)
    assert re.findall(r"xmin = ([\d.]+)\s+xmax = ([\d.]+)\s+text = \"(\w)\"", text) == [
        ("0.000", "0.500", "a"),
        ("0.500", "2.000", "b"),
    ]


def test_times_are_exact_after_hours():
    late = Transcript("x", [Segment(12345.12, 12345.14, "x")], source="x", seconds=20000.0)
    assert 'xmin = 12345.120\n            xmax = 12345.140\n            text = "x"' in stream("textgrid", late)


def test_subtitles_break_at_pauses_and_at_their_length():
    assert [own.text for own in captions(TEXT)] == ['turn the "lamp"', "<on> & off"]
    long = Transcript("", [Segment(n * 0.5, n * 0.5 + 0.4, "several") for n in range(40)])
    assert all(len(own.text) <= 42 and own.end - own.start <= 6 for own in captions(long))
    assert " ".join(own.text for own in captions(long)).split() == ["several"] * 40
    assert stream("srt", TEXT).startswith('1\n00:00:00,500 --> 00:00:01,200\nturn the "lamp"\n\n2\n')
    vtt = stream("vtt", TEXT)
    assert vtt.startswith("WEBVTT\n\n00:00:00.500 --> 00:00:01.200\n") and "&lt;on&gt; &amp; off" in vtt
    late = Transcript("x", [Segment(3661.0015, 3662.0, "x")], source="x")
    assert "01:01:01,002 --> 01:01:02,000" in stream("srt", late)


def test_an_alignment_is_phones_in_ctm_words_in_subtitles_and_both_in_a_textgrid(tmp_path):
    phones = [Segment(0.1, 0.2, "AH"), Segment(0.2, 0.4, "N"), Segment(0.9, 1.0, "S")]
    words = [Segment(0.1, 0.4, "an"), Segment(0.9, 1.0, "s")]
    aligned = Alignment("AH N S", phones, words, source="x.wav", seconds=2.0)
    assert ctm(aligned) == "x 1 0.100 0.100 AH\nx 1 0.200 0.200 N\nx 1 0.900 0.100 S\n"
    assert [own.text for own in captions(aligned)] == ["an s"]
    grid = textgrid(aligned)
    assert grid.index('name = "words"') < grid.index('text = "an"') < grid.index('name = "phones"')


@pytest.mark.parametrize("name", [name for name, own in FORMATS.items() if own.timed])
def test_a_format_of_times_refuses_what_has_none(name):
    with pytest.raises(ConfigError, match=f"--format {name} .* Label has none: use text, json"):
        check(name, Label.of({"a": 1.0}))


def test_a_format_of_one_file_refuses_several_in_one_stream():
    with pytest.raises(ConfigError, match="there are 2: add --out DIR"):
        StreamOutput(io.StringIO(), "srt").missing(["a.wav", "b.wav"])
