"""The worst utterances: texts by word errors, labels by loss."""

from __future__ import annotations

import random

import pytest

from problems.engine.report.worst_utterances import align, worst_labels, worst_texts, worst_utterances


def test_an_alignment_gives_back_both_texts():
    for reference, hypothesis in (("a b c", "x a c"), ("", "a b"), ("a", ""), ("a b", "b a c d")):
        pairs = align(reference, hypothesis)
        assert [p.reference for p in pairs if p.reference] == reference.split()
        assert [p.hypothesis for p in pairs if p.hypothesis] == hypothesis.split()
        for pair in pairs:
            assert (pair.kind == "hit") == (pair.reference == pair.hypothesis)


def test_texts_are_ranked_by_errors_then_by_rate():
    texts = {"one": ("a b", "a"), "two": ("a b c", "x y c"), "half": ("a b", "b c"), "none": ("a", "a")}
    rows = [{"id": id, "reference": r, "hypothesis": h} for id, (r, h) in texts.items()]
    assert [utterance.id for utterance in worst_texts(rows, 2)] == ["half", "two"]
    assert [utterance.id for utterance in worst_texts(rows, 9)] == ["half", "two", "one"]


def label_rows(count: int) -> list[dict[str, str]]:
    """Rows of a classifier, half of them wrong, with losses that no id tells."""
    draw = random.Random(0)
    return [
        {
            "id": f"u{number:03}",
            "reference": "yes",
            "hypothesis": draw.choice(["yes", "no"]),
            "confidence": str(draw.uniform(0.5, 1)),
            "loss": str(draw.expovariate(1)),
        }
        for number in range(count)
    ]


def test_labels_are_those_with_the_highest_losses():
    rows = label_rows(200)
    highest = sorted(rows, key=lambda row: -float(row["loss"]))[:20]
    assert [label.id for label in worst_labels(rows, 20)] == [row["id"] for row in highest]


def test_of_equal_losses_the_more_confident_label_is_worse():
    rows = label_rows(50)
    for row in rows:
        row["loss"] = "1.5"
    surest = sorted(rows, key=lambda row: -float(row["confidence"]))[:5]
    assert [label.id for label in worst_labels(rows, 5)] == [row["id"] for row in surest]


@pytest.mark.parametrize("text", ["", "inf", "nan"])
def test_a_loss_that_is_not_finite_is_the_highest(text):
    rows = label_rows(10)
    rows[7]["loss"] = text
    assert worst_labels(rows, 1)[0].id == "u007"


def test_without_losses_only_wrong_labels_are_shown():
    rows = [{key: row[key] for key in ("id", "reference", "hypothesis")} for row in label_rows(50)]
    wrong = [row["id"] for row in rows if row["hypothesis"] == "no"]
    assert [label.id for label in worst_labels(rows, 50)] == wrong


def test_the_numbers_are_those_that_were_recorded():
    rows = label_rows(30)
    assert worst_utterances("test", rows, "label").numbers == ["loss", "confidence"]
    for row in rows:
        del row["confidence"]
    assert worst_utterances("test", rows, "label").numbers == ["loss"]
    assert worst_utterances("test", rows, "text").numbers == []


@pytest.mark.parametrize(
    "rows, predicts, caption",
    [
        (
            [{"id": "a", "reference": "x y", "hypothesis": "x"}],
            "text",
            "the 1 with the most word errors of 1 utterances",
        ),
        ([{"id": "a", "reference": "x", "hypothesis": "x"}], "text", "no errors in 1 utterances"),
        (label_rows(1200), "label", "the 20 with the highest loss of 1,200 utterances"),
        ([{"id": "a", "reference": "x", "hypothesis": "y"}], "label", "1 wrong of 1 utterances"),
        ([{"id": "a", "reference": "2.5", "hypothesis": "2.5"}], "None", "no errors in 1 utterances"),
    ],
)
def test_the_caption_states_the_selection(rows, predicts, caption):
    assert worst_utterances("test", rows, predicts).caption == caption
