"""The toy corpora of whole utterances: labels, speakers and sentences of each split; the same bytes every time."""

from __future__ import annotations

import importlib.util
from collections import Counter
from pathlib import Path

import pytest

from dataset.corpora import get_corpus
from dataset.corpora.toy_words import KEYWORDS, SILENCE, UNKNOWN
from dataset.espeak import commands, languages, voices

needs_espeak = pytest.mark.skipif(
    importlib.util.find_spec("espeakng_loader") is None,
    reason="espeakng-loader (extra [toy]) is not installed",
)
NAMES = ("speakers", "keywords", "commands", "moods", "languages", "trials")


@pytest.fixture(scope="module")
def plans():
    return {name: get_corpus(f"toy_{name}")().plan() for name in NAMES}


def column(planned, name):
    return [p.columns[name] for p in planned]


@pytest.mark.parametrize("name", ["keywords", "commands", "moods", "languages", "trials"])
def test_the_voices_of_each_split_are_its_own(plans, name):
    spoken = {split: {p.utterance.voice.partition("+")[2] for p in lines} for split, lines in plans[name].items()}
    assert {split: len(own) for split, own in spoken.items()} == {"train": 20, "valid": 4, "test": 8}
    assert len(set.union(*spoken.values())) == 32


@pytest.mark.parametrize("name", NAMES)
def test_every_label_is_in_every_split_about_equally_often(plans, name):
    labels = {"commands": "labels", "trials": "spk"}.get(name, "label")
    counts = {split: Counter(column(lines, labels)) for split, lines in plans[name].items()}
    if name == "trials":
        assert not counts["train"].keys() & counts["valid"].keys() | counts["valid"].keys() & counts["test"].keys()
        assert [len(counts[split]) for split in ("train", "valid", "test")] == [80, 8, 16]
    else:
        assert counts["valid"].keys() | counts["test"].keys() <= counts["train"].keys()
    if name != "commands":
        for own in counts.values():
            assert max(own.values()) - min(own.values()) <= 1


def test_another_size_of_training_leaves_the_test_set_as_it_is():
    for name in NAMES:
        corpus = get_corpus(f"toy_{name}")
        assert corpus(num_train=20, num_valid=20).plan()["test"] == corpus().plan()["test"]
        assert corpus(seed=1).plan()["test"] != corpus().plan()["test"]


def test_speakers_say_other_sentences_in_each_split(plans):
    texts = {split: {p.utterance.text for p in lines} for split, lines in plans["speakers"].items()}
    assert not texts["train"] & texts["valid"] and not texts["test"] & (texts["train"] | texts["valid"])
    assert set(column(plans["speakers"]["test"], "label")) == set(voices.TRAIN)


def test_keywords_are_what_is_said(plans):
    for lines in plans["keywords"].values():
        for p in lines:
            label = p.columns["label"]
            assert label in (*KEYWORDS, UNKNOWN, SILENCE)
            if label == UNKNOWN:
                assert p.utterance.text not in KEYWORDS
            elif label == SILENCE:
                assert p.utterance.gain_db < -100 and p.columns["speaker"] == ""
            else:
                assert p.utterance.text == label


def test_the_slots_of_a_command_follow_from_its_words(plans):
    wordings = [text for group in commands.COMMANDS.values() for text in group]
    assert len(wordings) == len(set(wordings))
    for p in plans["commands"]["train"]:
        action, thing, place = p.columns["labels"].split(" ; ")
        assert any(
            w.format(place="" if place == "none" else f" in the {place}") == p.utterance.text
            for w in commands.COMMANDS[action, thing]
        )


def test_languages_share_no_sentence_and_few_words():
    words = {
        name: {w for part in parts for w in part.replace("|", " ").split()} for name, parts in languages.PARTS.items()
    }
    for one in words:
        for other in words:
            assert one == other or len(words[one] & words[other]) <= 3


@needs_espeak
@pytest.mark.parametrize("name", NAMES)
def test_it_is_spoken_the_same_way_twice(name, tmp_path):
    import numpy as np
    import soundfile

    corpus = get_corpus(f"toy_{name}")(num_train=24, num_valid=24, num_test=24)
    first, second = (corpus.load(tmp_path / folder) for folder in ("one", "zwei ü"))
    assert len(first.train) == 24
    for a, b in zip(first.train, second.train):
        assert Path(a["wav_path"]).read_bytes() == Path(b["wav_path"]).read_bytes()
        wav, rate = soundfile.read(a["wav_path"])
        assert rate == 16000 and len(wav) / rate == float(a["seconds"]) > 0.2
        assert (np.abs(wav).max() > 0.05) != (a.get("label") == SILENCE and np.abs(wav).max() <= 0.05)
    test = first.test["test"]
    if name == "trials":
        assert {row["label"] for row in test} == {"0", "1"} and Path(test[0]["wav_path2"]).is_file()
    else:
        assert all(row["wav_path"].startswith(str(tmp_path / "one")) for row in test)


@needs_espeak
def test_the_range_of_the_pitch_is_heard(tmp_path):
    import soundfile
    import torch
    from torchaudio.functional import detect_pitch_frequency

    from dataset.espeak import Utterance, synthesise

    def spread(path):
        wav = torch.from_numpy(soundfile.read(path, dtype="float32")[0])
        found = detect_pitch_frequency(wav[None, 2400:-2400], 16000, freq_low=60, freq_high=250)[0]
        return float(found.quantile(0.9) - found.quantile(0.1))

    said = [Utterance(f"r{r}", "we are mowing all the lawn in london", pitch_range=r) for r in (0, 50, 99)]
    flat, usual, lively = (spread(spoken.wav_path) for spoken in synthesise(said, tmp_path))
    assert flat < usual < lively, (flat, usual, lively)
    with pytest.raises(ValueError, match="pitch_range is 0-99, got 100"):
        synthesise([Utterance("x", "a", pitch_range=100)], tmp_path)
