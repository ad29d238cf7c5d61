"""The slot encoder: each part of a label has numbers and weights of its own."""

from __future__ import annotations

import pytest

from dataset.encoders import EncoderError
from dataset.encoders.slots import SlotEncoder

SLOTTED = ["on ; light ; kitchen", "off ; light ; none", "on;radio;none", "on ; light ; none"]


def test_slots_are_numbered_each_for_itself():
    encoder = SlotEncoder.build(SLOTTED, slots=["action", "object", "location"])
    assert encoder.slots == ("action", "object", "location")
    assert encoder.sizes == (2, 2, 2) and len(encoder) == 6
    assert encoder.encode("off ; radio ; kitchen") == [0, 1, 0], "the values, not their combination, must be known"
    assert encoder.decode([1, 0, 1]) == "on ; light ; none"
    assert encoder.unknown("on ; oven ; attic") == {"object=oven", "location=attic"}
    with pytest.raises(EncoderError, match="slot object.*'oven'"):
        encoder.encode("on ; oven ; none")


def test_labels_of_another_number_of_slots_are_refused():
    with pytest.raises(EncoderError, match="2 parts.*expected 3: slot1, slot2, slot3"):
        SlotEncoder.build([*SLOTTED, "on ; light"])
    with pytest.raises(EncoderError, match="2 parts.*expected 3") as caught:
        SlotEncoder.build(["on ; light ; none", "on ; light"])
    assert caught.value.place == 1
    with pytest.raises(EncoderError, match="3 parts.*expected 2: what, where"):
        SlotEncoder.build(SLOTTED, slots=["what", "where"])
    with pytest.raises(EncoderError, match="1 parts"):
        SlotEncoder.build(SLOTTED).encode("on")
    constant = SlotEncoder.build(["a ; x", "b ; x"])
    assert constant.sizes == (2, 1)
    with pytest.raises(EncoderError, match="needs two"):
        SlotEncoder.build(["a ; x", "a ; x"])


def test_each_slot_has_balanced_weights_of_its_own():
    encoder = SlotEncoder.build(["a ; x"] * 3 + ["b ; y"])
    assert encoder.balanced_weights() == [{"a": 4 / 6, "b": 4 / 2}, {"x": 4 / 6, "y": 4 / 2}]
