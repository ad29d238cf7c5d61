"""The category encoder: labels to numbers and back, and errors that name what is wrong."""

from __future__ import annotations

import pytest

from dataset.encoders import EncoderError
from dataset.encoders.category import CategoryEncoder

LABELS = ["up", "0012", "null", "größe 声", "up", "down"]


def test_labels_are_numbered_by_code_point_in_any_order_and_come_back():
    encoder = CategoryEncoder.build(LABELS)
    assert encoder.labels == ("0012", "down", "größe 声", "null", "up") and len(encoder) == 5
    assert CategoryEncoder.build(reversed(LABELS)) == encoder
    assert [encoder.decode(encoder.encode(label)) for label in LABELS] == LABELS
    assert encoder.encode("  größe   声 ") == 2


def test_an_unknown_label_is_refused_with_the_nearest():
    encoder = CategoryEncoder.build(["happy", "angry"])
    with pytest.raises(EncoderError, match="'hapy'.*did you mean 'happy'"):
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
def test_a_list_that_is_not_of_labels_is_refused(texts, message):
    with pytest.raises(EncoderError, match=message):
        CategoryEncoder.build(texts)


def test_an_error_lists_ten_labels_and_counts_the_others():
    labels = [f"l{number:02}" for number in range(12)]
    with pytest.raises(EncoderError, match=r"labels are l00, .*, l09, \.\.\. \(12 labels\)$"):
        CategoryEncoder(labels).encode("x")
    with pytest.raises(EncoderError, match=r"labels are l00, .*, l09$"):
        CategoryEncoder(labels[:10]).encode("x")


def test_balanced_weights_give_every_label_the_same_part():
    encoder = CategoryEncoder.build(["a"] * 6 + ["b"] * 2)
    assert encoder.balanced_weights() == {"a": 8 / 12, "b": 8 / 4}
    assert 6 * encoder.balanced_weights()["a"] == 2 * encoder.balanced_weights()["b"]


@pytest.mark.parametrize("counts", [[1], [1, 2, 3], [1, 0]])
def test_counts_are_one_positive_number_for_each_label(counts):
    with pytest.raises(EncoderError, match="counts must be a number from 1 for each of 2 labels"):
        CategoryEncoder(["down", "up"], counts)
