from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from dataset.encoders import (
    BLANK,
    ENCODERS,
    UNKNOWN,
    UNKNOWN_TEXT,
    EncoderError,
    build_encoder,
    load_encoder,
)
from dataset.encoders.text import CharacterEncoder, WordEncoder

TEXTS = ["THE CAT SAT ON THE MAT", "A CAT", "", "NAÏVE  DOGS\tRUN ", "null"]
ROOT = Path(__file__).resolve().parents[3]
SYMBOL_ENCODERS = ["character", "word", "phoneme"]


def build(name: str, **conf):
    if name == "sentencepiece":
        pytest.importorskip("sentencepiece")
        conf = {"vocab_size": 22, **conf}
    return build_encoder(name, TEXTS, **conf)


@pytest.mark.parametrize("name", ENCODERS)
class TestEveryEncoder:
    def test_blank_and_unknown_come_first(self, name):
        encoder = build(name)
        assert (BLANK, UNKNOWN) == (0, 1)
        assert encoder.symbols[:2] == ("<blank>", "<unk>")
        assert len(encoder) == len(encoder.symbols) == len(set(encoder.symbols))

    def test_decoding_gives_back_the_text_with_single_spaces(self, name):
        encoder = build(name)
        for text in TEXTS:
            ids = encoder.encode(text)
            assert encoder.decode(ids) == " ".join(text.split())
            assert all(2 <= index < len(encoder) for index in ids)
            assert encoder.unknown(text) == set()

    def test_reloads_equal_by_its_json_alone(self, name, tmp_path):
        encoder = build(name, case="lower")
        encoder.save(tmp_path / "new" / "folder")
        loaded = load_encoder(tmp_path / "new" / "folder")
        assert loaded == encoder and loaded.symbols == encoder.symbols
        assert [loaded.encode(text) for text in TEXTS] == [encoder.encode(text) for text in TEXTS]
        assert json.loads((tmp_path / "new/folder/encoder.json").read_text("utf-8"))["name"] == name
        assert not list((tmp_path / "new/folder").glob(".*"))

    def test_order_of_the_texts_does_not_matter(self, name, tmp_path):
        if name == "sentencepiece":
            pytest.skip("its pieces depend on floating-point sums in the order of the texts")
        assert build_encoder(name, TEXTS[::-1]).symbols == build(name).symbols

    def test_same_texts_same_bytes(self, name, tmp_path):
        for folder in ("a", "b"):
            build(name).save(tmp_path / folder)
        files = sorted(path.name for path in (tmp_path / "a").iterdir())
        assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)

    def test_blanks_are_dropped_and_unknown_is_shown(self, name):
        encoder = build(name)
        ids = encoder.encode("A CAT")
        with_blanks = [BLANK, *(index for one in ids for index in (one, BLANK))]
        assert encoder.decode(with_blanks) == "A CAT"
        assert UNKNOWN_TEXT in encoder.decode([*ids, UNKNOWN])
        with pytest.raises(EncoderError, match=str(len(encoder))):
            encoder.decode([len(encoder)])

    def test_case(self, name):
        assert build(name, case="lower").decode(build(name, case="lower").encode("a CaT")) == "a cat"
        assert build(name, case="upper").decode(build(name, case="upper").encode("a CaT")) == "A CAT"
        with pytest.raises(EncoderError, match="keep, lower, upper.*'title'"):
            build(name, case="title")

    def test_travels_to_worker_processes(self, name):
        encoder = build(name)
        encoder.encode("A CAT")  # what it makes when first used must not be in the way
        copy = pickle.loads(pickle.dumps(encoder))
        assert copy == encoder and copy.encode("THE MAT") == encoder.encode("THE MAT")

    def test_nothing_to_learn_from(self, name):
        for texts, words in ([], "no texts"), (["", "  "], "all 2 texts are empty"):
            with pytest.raises(EncoderError, match=words):
                build_encoder(name, texts)
        with pytest.raises(EncoderError, match="one text"):
            build_encoder(name, "THE CAT")

    def test_unknown_setting(self, name):
        with pytest.raises(EncoderError, match=f"the {name} encoder has no setting 'cas'.*nearest: 'case'"):
            build_encoder(name, TEXTS, cas="lower")


def test_symbols_are_in_order_of_code_points():
    assert build("character").symbols[2:8] == (" ", "A", "C", "D", "E", "G")
    assert CharacterEncoder.build(["ab a"]).encode("b a") == [4, 2, 3]
    assert WordEncoder.build(["b a", "c"]).encode("c  b a") == [4, 3, 2]


def test_unknown_symbols_are_named():
    assert build("character").unknown("CAT ?!") == {"?", "!"}
    assert build("character").encode("C?") == [build("character").encode("C")[0], UNKNOWN]
    assert build("word").unknown("THE BIRD SAT") == {"BIRD"}
    assert build("word").decode(build("word").encode("THE BIRD SAT")) == f"THE {UNKNOWN_TEXT} SAT"
    encoder = build("sentencepiece")
    assert encoder.unknown("CAT ??!") == {"?", "!"}
    assert UNKNOWN in encoder.encode("CAT ?")


@pytest.mark.parametrize("name", ["word", "phoneme"])
def test_a_text_with_the_special_words_holds_unknown_words(name):
    encoder = build_encoder(name, ["a <blank> <unk> b"])
    assert encoder.encode("a <blank> <unk> b") == [2, UNKNOWN, UNKNOWN, 3]


def test_unknown_names_and_wrong_folders(tmp_path):
    with pytest.raises(EncoderError, match="nearest: 'character'"):
        build_encoder("charcter", TEXTS)
    with pytest.raises(FileNotFoundError, match="encoder.json is missing"):
        load_encoder(tmp_path)
    build("word").save(tmp_path)
    with pytest.raises(EncoderError, match="holds a 'word' encoder, not a 'character' one"):
        CharacterEncoder.load(tmp_path)


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda text: text[: len(text) // 2], "damaged"),
        (lambda text: text.replace('"version": 1', '"version": 9'), "version 9"),
        (
            lambda text: text.replace('"name": "word"', '"name": "os.system"'),
            "no encoder is called 'os.system'",
        ),
        (lambda text: text.replace('"<blank>",', ""), "must open with <blank>"),
        (lambda text: text.replace('"CAT"', "3"), "list of strings"),
        (lambda text: "[]", "does not name"),
    ],
)
def test_damaged_json_is_refused(tmp_path, change, words):
    build("word").save(tmp_path)
    path = tmp_path / "encoder.json"
    path.write_text(change(path.read_text("utf-8")), "utf-8")
    with pytest.raises(EncoderError, match=words):
        load_encoder(tmp_path)


def test_saving_over_an_encoder_that_cannot_be_written_keeps_the_old_one(tmp_path, monkeypatch):
    build("word").save(tmp_path)
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        build("word", case="lower").save(tmp_path)
    assert load_encoder(tmp_path) == build("word")
    assert [path.name for path in tmp_path.iterdir()] == ["encoder.json"]


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


class TestSentencePiece:
    def test_agrees_with_the_library(self):
        library = pytest.importorskip("sentencepiece")
        encoder = build("sentencepiece", model_type="bpe")
        processor = library.SentencePieceProcessor(model_proto=encoder._model)
        for text in TEXTS:
            assert encoder.encode(text) == processor.encode(" ".join(text.split()))
            assert encoder.decode(encoder.encode(text)) == processor.decode(encoder.encode(text))
        assert len(encoder) == 22

    def test_long_texts_are_learnt_too(self):
        pytest.importorskip("sentencepiece")
        encoder = build_encoder("sentencepiece", ["A B " * 2000 + "Q", "A B"], vocab_size=7)
        assert encoder.unknown("Q") == set()

    def test_sizes_that_cannot_be(self):
        pytest.importorskip("sentencepiece")
        with pytest.raises(EncoderError, match="vocab_size is 5000, but 4 texts give at most [0-9]+ pieces"):
            build_encoder("sentencepiece", TEXTS, vocab_size=5000)
        with pytest.raises(EncoderError, match="the characters alone need [0-9]+"):
            build_encoder("sentencepiece", TEXTS, vocab_size=4)
        for size in (0, -5, "many", True, 2.5):
            with pytest.raises(EncoderError, match="whole number above 0"):
                build_encoder("sentencepiece", TEXTS, vocab_size=size)
        with pytest.raises(EncoderError, match="unigram, bpe, got 'char'"):
            build_encoder("sentencepiece", TEXTS, model_type="char")

    def test_a_model_of_another_encoder_is_refused(self, tmp_path):
        build("sentencepiece").save(tmp_path)
        (tmp_path / "sentencepiece.model").write_bytes(build("sentencepiece", model_type="bpe")._model)
        with pytest.raises(EncoderError, match="not the model that encoder.json"):
            load_encoder(tmp_path)
        (tmp_path / "sentencepiece.model").unlink()
        with pytest.raises(FileNotFoundError, match="sentencepiece.model is missing"):
            load_encoder(tmp_path)

    def test_without_the_package(self, tmp_path):
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


def test_import_brings_nothing_heavy():
    code = "import sys, dataset.encoders; print({'torch', 'numpy', 'sentencepiece'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
