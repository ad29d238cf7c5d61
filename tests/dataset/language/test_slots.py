"""Marks of slots: what is marked is read again, whatever the values hold."""

from __future__ import annotations

import json

import pytest

from dataset.corpora.audio_snips import AudioSnips, slots_of_tags
from dataset.corpora.slurp import Slurp
from dataset.encoders import build_encoder
from dataset.language.slots import mark, meaning, plain, slots_of

CASES = [
    ("wake me at five am on monday", [("time", "five am"), ("date", "monday")], "set_alarm"),
    ("play B-time E-time", [("song", "B-time E-time")], None),
    ("buy 3:30 ; a:b", [("what", "3:30 ; a:b")], "x"),
    ("to oslo to oslo", [("to", "oslo"), ("to", "oslo")], None),
    ("Zürich für 東京", [("city", "東京")], "reise planen"),
    ("nothing here", [], None),
]


@pytest.mark.parametrize(("text", "slots", "intent"), CASES)
def test_what_is_marked_is_read_again(text, slots, intent):
    marked = mark(text, slots, intent)
    assert meaning(marked) == (text, slots, intent and intent.replace(" ", "_"))
    assert plain(marked) == text
    encoder = build_encoder("marked_character", [marked])
    assert encoder.decode(encoder.encode(marked)) == marked and not encoder.unknown(marked)
    assert len(encoder.encode(marked)) == len(text) + 2 * len("x ") * len(slots) + (2 if intent else 0)


def test_marks_without_a_partner_count_for_nothing():
    found = meaning("set ⟦time five am on ⟦date monday date⟧ time⟧ name⟧ ⟪a b⟫")
    assert found.slots == [("time", "five am on monday")] or found.slots == [("date", "monday")]
    assert meaning("⟦time five").slots == [] and meaning("⟦time time⟧ x").slots == []
    assert plain("⟦time five") == "five"


@pytest.mark.parametrize(
    ("text", "slots", "words"),
    [
        ("a b", [("x", "c")], "the value 'c' of the slot 'x' is not in 'a b'"),
        ("a b", [("x", "b"), ("y", "a")], "is not in 'a b' after 'a b'"),
        ("ab", [("x", "a")], "is not in"),
        ("a", [("x y", "a")], "without spaces"),
        ("a ⟦b", [], "which mark slots"),
        ("a", [("x", "")], "the value ''"),
    ],
)
def test_what_cannot_be_marked_is_refused(text, slots, words):
    with pytest.raises(ValueError, match=words):
        mark(text, slots)


@pytest.mark.parametrize("cell", ["x", "[1]", '[["a"]]', "3", "[[1, 2]]"])
def test_wrong_cells_are_refused(cell):
    with pytest.raises(ValueError, match="slots: expected JSON"):
        slots_of(cell)


def test_cells():
    assert slots_of("") == slots_of("[]") == slots_of("{}") == []
    assert slots_of('{"a": " x  y "}') == slots_of('[["a", "x y"]]') == [("a", "x y")]


def test_tags_of_words():
    words = "play a b by c d e".split()
    tags = "O B-song I-song O B-artist B-artist I-album".split()
    assert slots_of_tags(words, tags) == [("song", "a b"), ("artist", "c"), ("artist", "d"), ("album", "e")]


def test_audio_snips(tmp_path):
    entries = {"train": "Ivy", "valid": "Amy", "test": "Emma"}
    lines = []
    for split, voice in entries.items():
        (tmp_path / split / "x").mkdir(parents=True)
        (tmp_path / split / "x" / f"{voice}-snips-{split}-0.wav").touch()
        lines.append(f"{voice}-snips-{split}-0 BOS play jazz now EOS\tO O B-genre O PlayMusic\n")
    (tmp_path / "all.iob.snips.txt").write_text("".join(lines))
    splits = AudioSnips(dataset_root=str(tmp_path)).load(tmp_path)
    (row,) = splits.train
    assert (row["transcription"], json.loads(row["slots"]), row["intent"]) == (
        "play jazz now",
        [["genre", "jazz"]],
        "PlayMusic",
    )
    assert row["speaker"] == "Ivy" and len(splits.valid) == len(splits.test["test"]) == 1
    (tmp_path / "all.iob.snips.txt").write_text("a BOS b EOS O O\n")
    with pytest.raises(ValueError, match="line 1: expected an id, BOS"):
        AudioSnips(dataset_root=str(tmp_path)).load(tmp_path)


def test_slurp(tmp_path):
    entry = {
        "sentence_annotation": "wake me at [time : five am] [date : this week]",
        "intent": "alarm_set",
        "recordings": [{"file": "audio-1-headset.flac"}, {"file": "audio-1.flac"}],
    }
    for name in ("train", "devel", "test"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(entry) + "\n")
    (tmp_path / "real").mkdir()
    splits = Slurp(dataset_root=str(tmp_path), audio=str(tmp_path / "real")).load(tmp_path)
    assert [row["id"] for row in splits.train] == ["audio-1-headset", "audio-1"]
    assert splits.train[0]["transcription"] == "wake me at five am this week"
    assert json.loads(splits.train[0]["slots"]) == [["time", "five am"], ["date", "this week"]]
    few = Slurp(dataset_root=str(tmp_path), audio=str(tmp_path / "real"), headset_only=True).load(tmp_path)
    assert len(few.train) == 1
