"""The tag encoder: any number of labels an utterance, none included."""

from __future__ import annotations

import pytest

from dataset.encoders import EncoderError
from dataset.encoders.tags import TagEncoder


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
