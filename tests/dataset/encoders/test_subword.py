"""The subword encoder: the library's own results, its errors in our words, and loading without it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dataset.encoders import EncoderError, build_encoder, load_encoder
from tests.conftest import ROOT
from tests.parts.encoders import TEXTS, build


def test_agrees_with_the_library():
    library = pytest.importorskip("sentencepiece")
    encoder = build("sentencepiece", model_type="bpe")
    processor = library.SentencePieceProcessor(model_proto=encoder._model)
    for text in TEXTS:
        assert encoder.encode(text) == processor.encode(" ".join(text.split()))
        assert encoder.decode(encoder.encode(text)) == processor.decode(encoder.encode(text))
    assert len(encoder) == 22


def test_long_texts_are_learnt_too():
    pytest.importorskip("sentencepiece")
    encoder = build_encoder("sentencepiece", ["A B " * 2000 + "Q", "A B"], vocab_size=7)
    assert encoder.unknown("Q") == set()


def test_sizes_that_cannot_be():
    pytest.importorskip("sentencepiece")
    with pytest.raises(EncoderError, match="vocab_size is 5000, but 4 texts give at most [0-9]+ pieces"):
        build_encoder("sentencepiece", TEXTS, vocab_size=5000)
    with pytest.raises(EncoderError, match="the characters alone need [0-9]+"):
        build_encoder("sentencepiece", TEXTS, vocab_size=4)
    for size in (0, -5, "many", True, 2.5):
        with pytest.raises(EncoderError, match="whole number above 0"):
            build_encoder("sentencepiece", TEXTS, vocab_size=size)
    with pytest.raises(EncoderError, match="unigram, bpe; got 'char'"):
        build_encoder("sentencepiece", TEXTS, model_type="char")


def test_a_model_of_another_encoder_is_refused(tmp_path):
    build("sentencepiece").save(tmp_path)
    (tmp_path / "sentencepiece.model").write_bytes(build("sentencepiece", model_type="bpe")._model)
    with pytest.raises(EncoderError, match="not the model that encoder.json"):
        load_encoder(tmp_path)
    (tmp_path / "sentencepiece.model").unlink()
    with pytest.raises(FileNotFoundError, match="sentencepiece.model is missing"):
        load_encoder(tmp_path)


def test_without_the_package(tmp_path):
    encoder = build("sentencepiece")
    encoder.save(tmp_path)
    ids = encoder.encode("THE CAT")
    code = f"""
import sys
sys.modules["sentencepiece"] = None
from dataset.encoders import EncoderError, build_encoder, load_encoder
assert load_encoder({str(tmp_path)!r}).decode({ids}) == "THE CAT"
try:
    build_encoder("sentencepiece", ["A"])
except EncoderError as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert 'pip install "soundstage[bpe]"' in result.stdout
