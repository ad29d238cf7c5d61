"""The toy corpus of sentences: its splits, words and slots, and the same bytes every time."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from dataset.corpora import CorpusError, get_corpus
from dataset.corpora.toy import Toy
from dataset.espeak import grammar, voices
from tests.conftest import ROOT
from tests.parts.corpora import needs_espeak

SMALL = {"num_train": 6, "num_valid": 3, "num_test": 4}


@pytest.fixture(scope="module")
def plan():
    return Toy().plan()


def words_of(planned):
    return [word for p in planned for word in p.meaning.text.split()]


def test_no_sentence_and_no_voice_is_in_two_splits(plan):
    sentences = [p.meaning.text for planned in plan.values() for p in planned]
    assert len(sentences) == len(set(sentences)) == 1200 + 120 + 300
    speakers = {split: {p.sentence.voice for p in planned} for split, planned in plan.items()}
    assert {split: len(names) for split, names in speakers.items()} == {"train": 20, "valid": 4, "test": 8}
    assert len(set.union(*speakers.values())) == 32
    assert max(Counter(p.sentence.voice for p in plan["train"]).values()) == 60


def test_every_third_training_sentence_is_a_list_of_words(plan):
    kinds = Counter(p.template for p in plan["train"])
    assert kinds == {"trained": 800, "list": 400}
    assert {p.template for p in plan["test"]} == {"trained", "new"}
    lists = [p.meaning.text.split() for p in plan["train"] if p.template == "list"]
    assert {len(words) for words in lists} == {4, 5, 6, 7, 8}
    assert set(grammar.vocabulary()) == {word for words in lists for word in words}


def test_every_test_word_is_trained_but_half_of_the_templates_are_new(plan):
    count = Counter(words_of(plan["train"]))
    assert len(count) >= 150
    assert min(count[word] for word in words_of(plan["test"])) >= 3
    assert min(count[word] for word in words_of(plan["valid"])) >= 3
    assert set(count) <= set(grammar.vocabulary())
    assert Counter(p.template for p in plan["test"]) == {"trained": 150, "new": 150}
    assert {p.template for p in plan["valid"]} == {"trained"}


def test_held_out_templates_have_trained_words_in_new_orders():
    vocabulary = set(grammar.vocabulary())
    trained = {t for group in grammar.TEMPLATES.values() for t in group}
    for intent, group in grammar.HELD_OUT.items():
        assert intent in grammar.TEMPLATES
        for template in group:
            assert template not in trained
            assert {w for w in template.split() if not w.startswith("{")} <= vocabulary, template


def test_slots_are_in_spoken_order_and_make_up_the_sentence(plan):
    for planned in plan["train"] + plan["test"]:
        sentence, template = planned.meaning, planned.meaning.text
        position = 0
        for name, value in sentence.slots:
            assert value in grammar.SLOTS[name]
            position = template.index(value, position)
            template = template[:position] + f"{{{name}}}" + template[position + len(value) :]
        assert len(set(sentence.slots)) == len(sentence.slots), "one value twice in a sentence"
        assert sentence.text == sentence.text.lower() == " ".join(sentence.text.split())


def test_the_test_set_does_not_depend_on_the_size_of_training():
    assert Toy(num_train=10).plan()["test"] == Toy(num_train=700, num_valid=5).plan()["test"]
    assert Toy(seed=1).plan()["test"] != Toy(seed=0).plan()["test"]


def test_more_sentences_than_the_grammar_has_are_refused(monkeypatch):
    monkeypatch.setattr(grammar, "TEMPLATES", {"play_music": ("play some {music}",)})
    with pytest.raises(CorpusError, match="num_valid=3.*set num_valid to less"):
        Toy(num_train=1, num_valid=3, num_test=4).plan()


def test_listing_the_settings_imports_nothing_heavy():
    code = "import sys, dataset.corpora.toy; print(sorted({'numpy', 'torch', 'soundfile'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_without_the_package_the_error_gives_the_command(tmp_path, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "espeakng_loader" else find_spec(name, *a)
    )
    with pytest.raises(CorpusError) as error:
        Toy(**SMALL).load(tmp_path)
    assert str(error.value) == (
        'the toy corpus needs the package espeakng-loader (GPL-3): pip install "soundstage[toy]", '
        "or use your own recordings: --prepare_data.corpus csv --prepare_data.train my.csv"
    )


@needs_espeak
def test_two_caches_get_the_same_rows_and_bytes(tmp_path):
    import soundfile

    caches = [tmp_path / "one", tmp_path / "zwei mit Ümlaut und 空白"]
    first = get_corpus("toy")(**SMALL).load(caches[0])
    time.sleep(1.01)  # by default the library seeds itself with the second of the clock
    second = get_corpus("toy")(**SMALL).load(caches[1])
    rows = [s.train + s.valid + s.test["test"] for s in (first, second)]
    assert [len(s) for s in (first.train, first.valid, first.test["test"])] == [6, 3, 4]
    for a, b in zip(*rows):
        assert Path(a["wav_path"]).read_bytes() == Path(b["wav_path"]).read_bytes()
        assert {**a, "wav_path": ""} == {**b, "wav_path": ""}
        info = soundfile.info(a["wav_path"])
        assert (info.samplerate, info.channels, info.subtype) == (16000, 1, "PCM_16")
        assert float(a["seconds"]) == info.frames / 16000
        assert all(isinstance(value, str) for value in a.values())
        assert all(len(pair) == 2 for pair in json.loads(a["slots"]))
        assert a["gender"] == voices.gender(a["speaker"])
    assert Toy(**SMALL, seed=7).load(caches[0]).train[0]["transcription"] != first.train[0]["transcription"]
