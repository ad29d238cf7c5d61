"""Encoders by name: the registries, a user's own class, and nothing heavy at import."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dataset.encoders import EncoderError, build_encoder, load_encoder
from tests.conftest import ROOT
from tests.parts.encoders import TEXTS


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(EncoderError, match="did you mean 'character'"):
        build_encoder("charcter", TEXTS)


def test_a_users_own_encoder(tmp_path):
    code = "from dataset.encoders.text import *\nclass Syllables(WordEncoder):\n    name = 'syllables'\n"
    (tmp_path / "mine.py").write_text(code)
    make = "from dataset.encoders import *; build_encoder('mine:Syllables', ['ba na na']).save('saved')"
    load = "from dataset.encoders import *; print(load_encoder('saved').encode('na ba'))"
    paths = {"PYTHONPATH": f"{ROOT}:{tmp_path}"}
    for program, answer in (
        (make, ""),
        ("import mine; " + load, "[3, 2]"),
        (load, "run the file that defines it"),
    ):
        result = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, env=paths, capture_output=True, text=True
        )
        assert answer in result.stdout + result.stderr
        assert (result.returncode == 0) == (program != load)


def test_a_users_own_text_encoder_needs_a_name_and_three_methods(tmp_path, monkeypatch):
    code = """
from dataset.encoders import TextEncoder
from dataset.encoders.text import SPECIAL

class Reversed(TextEncoder):
    name = "reversed"

    @classmethod
    def build(cls, texts):
        return cls([*SPECIAL, *sorted(set("".join(texts)))])

    def encode(self, text):
        return [self.symbols.index(symbol) for symbol in reversed(text)]

    def decode(self, ids):
        return "".join(self.symbols[index] for index in reversed(list(ids)))
"""
    (tmp_path / "reversed_texts.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    encoder = build_encoder("reversed_texts:Reversed", ["ab", "c"])
    encoder.save(tmp_path / "saved")
    loaded = load_encoder(tmp_path / "saved")
    assert loaded == encoder and loaded.encode("cab") == [3, 2, 4] and loaded.decode([3, 2, 4]) == "cab"
    assert len(loaded) == 5 and loaded.unknown("x") == set()


def test_import_brings_nothing_heavy():
    code = "import sys, dataset.encoders; print({'torch', 'numpy', 'sentencepiece'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
