"""Results: JSON, and the joining of pieces."""

from __future__ import annotations

import json
import math

import pytest

from tasks.results import (
    Alignment,
    Embedding,
    Estimate,
    Events,
    Hit,
    Hits,
    Label,
    LabelsOfSlots,
    Phones,
    Segment,
    Slots,
    Tags,
    Transcript,
    Turns,
    Value,
    Verification,
)

YES, NO = Label.of({"no": 0.1, "yes": 0.9}), Label.of({"no": 0.8, "yes": 0.2})
EXAMPLES = [
    (Transcript("a b", [Segment(0, 1, "a", 0.5)], [("a b", -1.0)]), "a b"),
    (Phones("p t", [Segment(0, 1, "p")]), "p t"),
    (Alignment("p t", [Segment(0, 1, "p"), Segment(1, 2, "t")], [Segment(0, 2, "pt")]), "p t"),
    (Slots("wake at five", [("time", "five")], "alarm", "wake at ⟦time five time⟧"), "wake at ⟦time five time⟧"),
    (YES, "yes"),
    (LabelsOfSlots({"action": YES, "place": NO}), "yes ; no"),
    (Tags.of({"rain": 0.7, "wind": 0.2, "bell": 0.9}, 0.5), "rain ; bell"),
    (Embedding([0.5, -1.0]), "[0.5, -1.0]"),
    (Verification(0.5, 0.75, True), "0.5000\tsame"),
    (Turns([Segment(0.52, 3.1, "speaker1"), Segment(3, 4, "speaker2")]), "0.52-3.10 speaker1 ; 3.00-4.00 speaker2"),
    (Estimate(3.25), "3.25"),
    (Events([Segment(0.1, 0.3, "bell")]), "0.10-0.30 bell"),
    (Hits([Hit("doc", 1.2, 1.71, 3.4)]), "doc 1.20-1.71 3.40"),
    (Value({"a": 1}), "{'a': 1}"),
]  # fmt: skip


@pytest.mark.parametrize("result, text", EXAMPLES, ids=lambda value: type(value).__name__)
def test_a_result_is_a_line_of_text_and_json(result, text):
    result.source, result.seconds = "x.wav", 2.0
    assert str(result) == text and "\n" not in text
    values = result.to_dict()
    assert json.loads(json.dumps(values, allow_nan=False))["source"] == "x.wav"
    assert list(values)[:2] == ["source", "seconds"]


@pytest.mark.parametrize("result", [own for own, _ in EXAMPLES if own.joinable], ids=lambda own: type(own).__name__)
def test_a_single_piece_is_the_whole(result):
    assert str(type(result).joined([(0.0, 2.0, result)])) == str(result)
    twice = type(result).joined([(0.0, 2.0, result), (2.0, 2.0, result)])
    assert type(twice) is type(result)


def test_times_of_pieces_are_moved_to_their_start():
    pieces = [(0.0, 30.0, Transcript("a", [Segment(1, 2, "a", 0.5)], [("a", 0.0)])), (30.0, 5.0, Transcript("", [])),
              (35.0, 9.0, Transcript("b c", [Segment(0.5, 1, "b"), Segment(1, 2, "c")]))]  # fmt: skip
    joined = Transcript.joined(pieces)
    assert joined.text == "a b c" and joined.nbest == []
    assert [(w.start, w.end, w.text) for w in joined.words] == [(1, 2, "a"), (35.5, 36, "b"), (36, 37, "c")]
    assert [own.start for own in Phones.joined([(4.0, 1.0, Phones("p", [Segment(0.25, 1, "p")]))]).phones] == [4.25]


def test_probabilities_of_pieces_are_weighted_by_their_length():
    joined = Label.joined([(0.0, 10.0, YES), (10.0, 30.0, NO)])
    assert joined.label == "no" and math.isclose(joined.probability, (0.1 * 10 + 0.8 * 30) / 40)
    assert joined.top(1) == [("no", joined.probability)]
    assert Estimate.joined([(0, 1.0, Estimate(2.0)), (1, 3.0, Estimate(4.0))]).value == 3.5
    slots = LabelsOfSlots.joined([(0.0, 1.0, LabelsOfSlots({"s": YES})), (1.0, 3.0, LabelsOfSlots({"s": NO}))])
    assert str(slots) == "no" and math.isclose(slots.probability, (0.1 + 3 * 0.8) / 4)
    assert Embedding.joined([(0, 1.0, Embedding([0.0, 4.0])), (1, 3.0, Embedding([4.0, 0.0]))]).vector == [3.0, 1.0]
    assert Tags.joined([(0, 1.0, Tags.of({"a": 0.9}, 0.5)), (1, 3.0, Tags.of({"a": 0.2}, 0.5))]).labels == []


def test_tiers_hold_what_has_times():
    turns = Turns([Segment(0, 1, "b"), Segment(1, 2, "a"), Segment(2, 3, "b")])
    assert {name: len(own) for name, own in turns.tiers().items()} == {"a": 1, "b": 2}
    assert YES.tiers() == {}
