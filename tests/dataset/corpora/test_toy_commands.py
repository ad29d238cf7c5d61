"""The slots of a toy command follow from its words."""

from __future__ import annotations

from dataset.corpora.toy_commands import ToyCommands
from dataset.espeak import commands


def test_the_slots_of_a_command_follow_from_its_words():
    wordings = [text for group in commands.COMMANDS.values() for text in group]
    assert len(wordings) == len(set(wordings))
    for p in ToyCommands().plan()["train"]:
        action, object_, place = p.columns["labels"].split(" ; ")
        assert any(
            w.format(place="" if place == "none" else f" in the {place}") == p.sentence.text
            for w in commands.COMMANDS[action, object_]
        )
