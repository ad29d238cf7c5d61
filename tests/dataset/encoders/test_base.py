"""Saved encoders: JSON that comes back equal, refused when damaged, never half written."""

from __future__ import annotations

import json

import pytest

from dataset.encoders import EncoderError, build_encoder, load_encoder
from dataset.encoders.text import CharacterEncoder
from tests.parts.encoders import build

LABELS = ["up", "0012", "null", "größe 声", "up", "down"]
SLOTTED = ["on ; light ; kitchen", "off ; light ; none", "on;radio;none", "on ; light ; none"]


@pytest.mark.parametrize(
    ("name", "texts"), [("category", ["größe", *LABELS]), ("categories", SLOTTED), ("tags", SLOTTED)]
)
def test_a_saved_encoder_is_json_and_comes_back_equal(name, texts, tmp_path):
    encoder = build_encoder(name, texts)
    encoder.save(tmp_path / "ein ordner")
    assert load_encoder(tmp_path / "ein ordner") == encoder
    text = (tmp_path / "ein ordner" / "encoder.json").read_text("utf-8")
    assert json.loads(text)["name"] == name and text.isascii() == texts[0].isascii()  # for people to read
    assert build_encoder(name, texts[1:]) != encoder


@pytest.mark.parametrize(
    ("record", "text", "number"),
    [
        ({"name": "character", "case": "lower", "symbols": ["<blank>", "<unk>", "a", "b"]}, "Ba", [3, 2]),
        ({"name": "word", "case": "keep", "symbols": ["<blank>", "<unk>", "a"]}, "a b", [2, 1]),
        ({"name": "category", "labels": ["down", "up"], "counts": [2, 1]}, "up", 1),
        ({"name": "tags", "labels": ["dog", "rain"], "counts": [1, 3]}, "rain", [0, 1]),
        (
            {
                "name": "categories",
                "slots": [
                    {"slot": "action", "labels": ["off", "on"], "counts": [1, 1]},
                    {"slot": "object", "labels": ["light"], "counts": [2]},
                ],
            },
            "on ; light",
            [1, 0],
        ),
    ],
)
def test_encoders_of_earlier_checkpoints_load_and_are_saved_the_same(tmp_path, record, text, number):
    record["version"] = 1
    (tmp_path / "encoder.json").write_text(json.dumps(record))
    encoder = load_encoder(tmp_path)
    assert encoder.encode(text) == number
    encoder.save(tmp_path / "again")
    assert json.loads((tmp_path / "again" / "encoder.json").read_text()) == record


def test_a_folder_without_an_encoder_and_one_of_another_class_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="encoder.json is missing"):
        load_encoder(tmp_path)
    build("word").save(tmp_path)
    with pytest.raises(EncoderError, match="holds a 'word' encoder, not a 'character' encoder"):
        CharacterEncoder.load(tmp_path)


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda text: text[: len(text) // 2], "damaged"),
        (lambda text: text.replace('"version": 1', '"version": 9'), "version 9"),
        (
            lambda text: text.replace('"name": "word"', '"name": "os.system"'),
            "unknown encoder 'os.system'",
        ),
        (lambda text: text.replace('"<blank>",', ""), "must begin with <blank>"),
        (lambda text: text.replace('"CAT"', "3"), "list of strings"),
        (lambda text: "[]", "does not name"),
    ],
)
def test_damaged_json_is_refused(tmp_path, change, words):
    build("word").save(tmp_path)
    path = tmp_path / "encoder.json"
    path.write_text(change(path.read_text("utf-8")), "utf-8")
    with pytest.raises(EncoderError, match=words):
        load_encoder(tmp_path)


def test_a_damaged_file_is_named(tmp_path):
    build_encoder("category", LABELS).save(tmp_path)
    path = tmp_path / "encoder.json"
    record = json.loads(path.read_text())
    for damaged in (record | {"labels": "up"}, record | {"counts": None}):
        path.write_text(json.dumps(damaged))
        with pytest.raises(EncoderError, match="encoder.json.*build the encoder again"):
            load_encoder(tmp_path)
    path.write_text(json.dumps({**record, "name": "categories"}))
    with pytest.raises(EncoderError, match="'slots'"):
        load_encoder(tmp_path)


def test_saving_over_an_encoder_that_cannot_be_written_keeps_the_old_one(tmp_path, monkeypatch):
    build("word").save(tmp_path)
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        build("word", case="lower").save(tmp_path)
    assert load_encoder(tmp_path) == build("word")
    assert [path.name for path in tmp_path.iterdir()] == ["encoder.json"]
