"""TIMIT: phones with their times, the core test set, and no SA sentences; in upper and in lower case."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile

from dataset.audio import read
from dataset.corpora import CorpusError
from dataset.corpora.timit import CORE_TEST, TIMIT, VALIDATION
from tasks.phones import TIMIT_39

PHONES = "0 1600 h#\n1600 3200 sh\n3200 4800 iy\n4800 8000 h#\n"


def make(root, speakers, case=str.upper, sentences=("sa1", "sx127", "si648")):
    for split, name in speakers:
        folder = root / case(split) / case("dr1") / case(name)
        folder.mkdir(parents=True)
        for sentence in sentences:
            stem = folder / case(sentence)
            stem.with_suffix(case(".phn")).write_text(PHONES)
            stem.with_suffix(case(".txt")).write_text("0 8000 She had.\n")
            audio = np.linspace(-0.5, 0.5, 8000)
            soundfile.write(stem.with_suffix(case(".wav")), audio, 16000, format="NIST", subtype="PCM_16")
    return str(root)


SPEAKERS = [("train", "fcjf0"), ("test", "mdab0"), ("test", "faks0"), ("test", "mjsw1")]


@pytest.mark.parametrize("case", [str.upper, str.lower])
def test_sentences_of_the_published_sets(tmp_path, case):
    splits = TIMIT(dataset_root=make(tmp_path / "TIMIT ü", SPEAKERS, case)).load(tmp_path)
    assert [row["id"] for row in splits.train] == ["fcjf0_si648", "fcjf0_sx127"]
    assert {row["speaker"] for row in splits.valid} == {"faks0"} and list(splits.test) == ["core"]
    assert {row["speaker"] for row in splits.test["core"]} == {"mdab0"}
    row = splits.train[0]
    assert row["transcription"] == "h# sh iy h#" and row["text"] == "She had." and row["dialect"] == "dr1"
    assert json.loads(row["phones"])[1] == [0.1, 0.2, "sh"]
    assert len(read(row["wav_path"])) == 8000


def test_the_sets_have_the_published_speakers_and_share_none():
    assert len(CORE_TEST) == 24 == len(set(CORE_TEST)) and len(VALIDATION) == 50 == len(set(VALIDATION))
    assert not set(CORE_TEST) & set(VALIDATION)
    assert sum(name.startswith("f") for name in CORE_TEST) == 8


def test_61_phones_fold_to_39():
    phones = (
        "iy ih eh ey ae aa aw ay ah ao oy ow uh uw ux er ax ix axr ax-h jh ch b d g p t k dx s sh z zh f th v dh m n ng"
        " em nx en eng l r w y hh hv el bcl dcl gcl pcl tcl kcl q pau epi h#"
    ).split()
    assert len(set(phones)) == 61 and len({TIMIT_39.get(phone, phone) for phone in phones} - {""}) == 39


def test_copies_as_riff_are_preferred(tmp_path):
    root = make(tmp_path / "timit", SPEAKERS)
    for path in list(tmp_path.rglob("*.WAV")):
        path.with_suffix(".WAV.wav").write_bytes(b"")
    assert all(row["wav_path"].endswith(".WAV.wav") for row in TIMIT(dataset_root=root).load(tmp_path).train)


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(CorpusError, match="has no folder train or TRAIN; did you mean .*timit"):
        make(tmp_path / "up" / "timit", SPEAKERS)
        list(TIMIT(dataset_root=str(tmp_path / "up")).sources())
    with pytest.raises(CorpusError, match="has no speaker of the core test set, such as mdab0"):
        TIMIT(dataset_root=make(tmp_path / "few", SPEAKERS[:1] + SPEAKERS[2:])).load(tmp_path)
    root = make(tmp_path / "bad", SPEAKERS)
    path = next((tmp_path / "bad" / "TRAIN").rglob("SX127.PHN"))
    path.write_text("0 x h#\n")
    with pytest.raises(CorpusError, match="SX127.PHN, line 1: expected two sample numbers and a phone"):
        TIMIT(dataset_root=root).load(tmp_path)
    path.write_text(PHONES)
    path.with_suffix(".WAV").unlink()
    with pytest.raises(CorpusError, match="there is no SX127.WAV beside it"):
        TIMIT(dataset_root=root).load(tmp_path)
