"""All toy corpora have their own voices, even labels and fixed test sets, and give the same bytes every time."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import pytest

from dataset.corpora import get_corpus
from dataset.corpora.toy_keywords import SILENCE
from tests.parts.corpora import needs_espeak

NAMES = ("speakers", "keywords", "commands", "moods", "languages", "trials")


@pytest.fixture(scope="module")
def plans():
    return {name: get_corpus(f"toy_{name}")().plan() for name in NAMES}


DIGESTS = {
    "speakers": "1001f3146bc6c965",
    "keywords": "6eb567275c7b4ab6",
    "commands": "3fef9798d8ae031c",
    "moods": "84da86490cc2adb9",
    "languages": "0a4d02a3e8b4e06f",
    "trials": "94c73f36332f505c",
}


@pytest.mark.parametrize("name", NAMES)
def test_the_plans_are_those_that_results_were_measured_on(plans, name):
    """Another plan is another corpus: then the results in README and docs must be measured again."""
    text = repr(
        [(split, line.sentence, sorted(line.columns.items())) for split in plans[name] for line in plans[name][split]]
    )
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == DIGESTS[name]


@pytest.mark.parametrize("name", ["keywords", "commands", "moods", "languages", "trials"])
def test_each_split_has_its_own_voices(plans, name):
    voices = {split: {p.sentence.voice.partition("+")[2] for p in lines} for split, lines in plans[name].items()}
    assert {split: len(names) for split, names in voices.items()} == {"train": 20, "valid": 4, "test": 8}
    assert len(set.union(*voices.values())) == 32


@pytest.mark.parametrize("name", NAMES)
def test_every_label_is_in_every_split_about_equally_often(plans, name):
    labels = {"commands": "labels", "trials": "spk"}.get(name, "label")
    counts = {split: Counter(p.columns[labels] for p in lines) for split, lines in plans[name].items()}
    if name == "trials":
        assert not counts["train"].keys() & counts["valid"].keys() | counts["valid"].keys() & counts["test"].keys()
        assert [len(counts[split]) for split in ("train", "valid", "test")] == [80, 8, 16]
    else:
        assert counts["valid"].keys() | counts["test"].keys() <= counts["train"].keys()
    if name != "commands":
        for count in counts.values():
            assert max(count.values()) - min(count.values()) <= 1


def test_the_test_set_does_not_depend_on_the_size_of_training():
    for name in NAMES:
        corpus = get_corpus(f"toy_{name}")
        assert corpus(num_train=20, num_valid=20).plan()["test"] == corpus().plan()["test"]
        assert corpus(seed=1).plan()["test"] != corpus().plan()["test"]


@needs_espeak
@pytest.mark.parametrize("name", NAMES)
def test_two_caches_get_the_same_bytes(name, tmp_path):
    import numpy as np
    import soundfile

    corpus = get_corpus(f"toy_{name}")(num_train=24, num_valid=24, num_test=24)
    first, second = (corpus.load(tmp_path / folder) for folder in ("first", "second ü"))
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
        assert all(row["wav_path"].startswith(str(tmp_path / "first")) for row in test)
