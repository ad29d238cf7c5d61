"""Label encoders: numbers and back, files and back, and errors that name what is wrong."""

from __future__ import annotations

import json

import pytest

from dataset.encoders import EncoderError, build_encoder, load_encoder
from dataset.encoders.category import CategoryEncoder, CategoryEncoders, TagEncoder

LABELS = ["up", "0012", "null", "größe 声", "up", "down"]
SLOTTED = ["on ; light ; kitchen", "off ; light ; none", "on;radio;none", "on ; light ; none"]


def test_labels_are_numbered_by_code_point_whatever_their_order_and_come_back():
    encoder = CategoryEncoder.build(LABELS)
    assert encoder.labels == ("0012", "down", "größe 声", "null", "up") and len(encoder) == 5
    assert CategoryEncoder.build(reversed(LABELS)) == encoder
    assert [encoder.decode(encoder.encode(label)) for label in LABELS] == LABELS
    assert encoder.encode("  größe   声 ") == 2


@pytest.mark.parametrize(("name", "texts"), [("category", LABELS), ("categories", SLOTTED), ("tags", SLOTTED)])
def test_what_is_saved_is_json_and_comes_back_equal(name, texts, tmp_path):
    encoder = build_encoder(name, texts)
    encoder.save(tmp_path / "ein ordner")
    assert load_encoder(tmp_path / "ein ordner") == encoder
    assert json.loads((tmp_path / "ein ordner" / "encoder.json").read_text("utf-8"))["name"] == name
    assert build_encoder(name, texts[1:]) != encoder


def test_a_label_that_training_never_shows_is_refused_with_the_nearest():
    encoder = CategoryEncoder.build(["happy", "angry"])
    with pytest.raises(EncoderError, match="'hapy'.*nearest: 'happy'"):
        encoder.encode("hapy")
    assert encoder.unknown("hapy") == {"hapy"} and encoder.unknown("happy") == set()
    with pytest.raises(EncoderError, match="0 to 1"):
        encoder.decode(2)
    with pytest.raises(EncoderError, match="0 to 1"):
        encoder.decode(-1)


@pytest.mark.parametrize(
    ("texts", "message"),
    [([], "no labels"), (["a", " "], "empty"), (["a", "a"], "needs two"), ("ab", "one text")],
)
def test_what_is_no_set_of_labels_is_refused(texts, message):
    with pytest.raises(EncoderError, match=message):
        CategoryEncoder.build(texts)


def test_slots_are_numbered_each_for_itself():
    encoder = CategoryEncoders.build(SLOTTED, slots=["action", "object", "location"])
    assert encoder.slots == ("action", "object", "location")
    assert encoder.sizes == (2, 2, 2) and len(encoder) == 6
    assert encoder.encode("off ; radio ; kitchen") == [0, 1, 0], "the values, not their combination, must be known"
    assert encoder.decode([1, 0, 1]) == "on ; light ; none"
    assert encoder.unknown("on ; oven ; attic") == {"object=oven", "location=attic"}
    with pytest.raises(EncoderError, match="slot object.*'oven'"):
        encoder.encode("on ; oven ; none")


def test_labels_of_another_number_of_slots_are_refused():
    with pytest.raises(EncoderError, match="2 parts.*expected 3: slot1, slot2, slot3"):
        CategoryEncoders.build([*SLOTTED, "on ; light"])
    with pytest.raises(EncoderError, match="3 parts.*expected 2: what, where"):
        CategoryEncoders.build(SLOTTED, slots=["what", "where"])
    with pytest.raises(EncoderError, match="1 parts"):
        CategoryEncoders.build(SLOTTED).encode("on")
    constant = CategoryEncoders.build(["a ; x", "b ; x"])
    assert constant.sizes == (2, 1)
    with pytest.raises(EncoderError, match="needs two"):
        CategoryEncoders.build(["a ; x", "a ; x"])


def test_balanced_weights_give_every_label_the_same_part():
    encoder = CategoryEncoder.build(["a"] * 6 + ["b"] * 2)
    assert encoder.balanced_weights() == {"a": 8 / 12, "b": 8 / 4}
    assert 6 * encoder.balanced_weights()["a"] == 2 * encoder.balanced_weights()["b"]
    slots = CategoryEncoders.build(["a ; x"] * 3 + ["b ; y"])
    assert [weights.keys() for weights in slots.balanced_weights()] == [{"a", "b"}, {"x", "y"}]


def test_a_damaged_file_is_named(tmp_path):
    CategoryEncoder.build(LABELS).save(tmp_path)
    path = tmp_path / "encoder.json"
    record = json.loads(path.read_text())
    for damaged in (record | {"labels": "up"}, record | {"counts": None}):
        path.write_text(json.dumps(damaged))
        with pytest.raises(EncoderError, match="encoder.json.*build it again"):
            load_encoder(tmp_path)
    path.write_text(json.dumps({**record, "name": "categories"}))
    with pytest.raises(EncoderError, match="'slots'"):
        load_encoder(tmp_path)


def test_tags_are_any_number_of_labels():
    encoder = TagEncoder.build(["rain ; siren", "", "dog", "siren;rain"])
    assert encoder.labels == ("dog", "rain", "siren") and encoder.counts == (1, 2, 2)
    assert encoder.encode("siren ; dog") == [1, 0, 1] and encoder.encode(" ") == [0, 0, 0]
    assert [encoder.decode(number) for number in range(3)] == ["dog", "rain", "siren"]
    assert encoder.unknown("cat ; dog") == {"cat"} and encoder.unknown("") == set()
    with pytest.raises(EncoderError, match="'cat'"):
        encoder.encode("dog ; cat")
    with pytest.raises(EncoderError, match="no labels"):
        TagEncoder.build(["", " "])
