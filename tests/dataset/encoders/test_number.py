"""The number encoder: standardised by the training set and back, and errors that name what is no number."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dataset.encoders import EncoderError, build_encoder, load_encoder
from dataset.encoders.number import NumberEncoder

TEXTS = ["1", "4.5", " 2e0 ", "-3", "4.5"]


def test_numbers_are_standardised_by_the_training_set_and_come_back(tmp_path):
    encoder = build_encoder("number", TEXTS)
    numbers = np.array([float(text) for text in TEXTS])
    assert [encoder.mean, encoder.deviation] == pytest.approx([numbers.mean(), numbers.std()])
    standardised = [encoder.encode(text) for text in TEXTS]
    assert np.mean(standardised) == pytest.approx(0, abs=1e-12) and np.std(standardised) == pytest.approx(1)
    assert [encoder.decode(number) for number in standardised] == pytest.approx(numbers)
    assert len(encoder) == 1 and encoder.unknown("1000") == set()
    encoder.save(tmp_path)
    assert load_encoder(tmp_path) == encoder != build_encoder("number", TEXTS[1:])


def test_the_order_of_the_training_set_does_not_matter():
    texts = [repr(number) for number in (1e6 * np.random.default_rng(0).standard_normal(50)).tolist()]
    assert NumberEncoder.build(texts) == NumberEncoder.build(sorted(texts))


@pytest.mark.parametrize("text", ["", "3,5", "good", "nan", "inf", "1e999"])
def test_what_is_no_number_is_refused(text):
    with pytest.raises(EncoderError, match="expected a number, such as 3.5, got") as error:
        NumberEncoder.build(["1", "2", text])
    assert error.value.place == 2
    for refusing in (NumberEncoder(0.0, 1.0).encode, NumberEncoder(0.0, 1.0).unknown):
        with pytest.raises(EncoderError, match="expected a number"):
            refusing(text)


@pytest.mark.parametrize(
    ("texts", "words"), [([], "there are no numbers"), (["3"], "has the value 3"), (["3", "3.0"], "needs two")]
)
def test_a_training_set_without_two_numbers_is_refused(texts, words):
    with pytest.raises(EncoderError, match=words):
        NumberEncoder.build(texts)


def test_a_damaged_file_is_named(tmp_path):
    NumberEncoder(0.0, 2.0).save(tmp_path)
    path = tmp_path / "encoder.json"
    path.write_text(path.read_text().replace("2.0", '"2"'))
    with pytest.raises(EncoderError, match="encoder.json must have the numbers.*build the encoder again"):
        load_encoder(tmp_path)
    with pytest.raises(EncoderError, match="expected finite numbers"):
        NumberEncoder(math.nan, 1.0)
