"""The Free Spoken Digit Dataset is divided by index or by speaker."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from dataset.corpora import CorpusError
from dataset.corpora.fsdd import FSDD
from tests.conftest import ROOT
from tests.parts.fsdd import make_fsdd, real_fsdd


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return make_fsdd(tmp_path_factory.mktemp("fsdd"))


def test_the_test_set_is_index_0_to_4(root, tmp_path):
    splits = FSDD(str(root), valid_fraction=0.5).load(tmp_path)
    by_index = {
        name: {int(row["id"].rpartition("_")[2]) for row in rows}
        for name, rows in {"train": splits.train, "valid": splits.valid, **splits.test}.items()
    }
    assert by_index == {"train": {5, 6}, "valid": {7, 8}, "test": {0, 1, 2, 3, 4}}
    assert (len(splits.train), len(splits.valid), len(splits.test["test"])) == (40, 40, 100)
    assert splits.train[0] == {
        "id": "0_ann_5",
        "wav_path": str(root / "recordings" / "0_ann_5.wav"),
        "transcription": "zero",
        "label": "0",
        "speaker": "ann",
    }


def test_validation_has_at_least_one_recording_of_each_speaker_and_digit(root, tmp_path):
    splits = FSDD(str(root), valid_fraction=0.01).load(tmp_path)
    assert Counter((row["speaker"], row["label"]) for row in splits.valid) == Counter(
        (speaker, str(digit)) for speaker in ("ann", "bob") for digit in range(10)
    )


def test_one_speaker_may_be_the_test_set(root, tmp_path):
    splits = FSDD(str(root), test_speaker="bob").load(tmp_path)
    assert {row["speaker"] for row in splits.test["test"]} == {"bob"} and len(splits.test["test"]) == 90
    assert {row["speaker"] for row in splits.train + splits.valid} == {"ann"}
    assert len(splits.train + splits.valid) == 90


def test_an_unknown_speaker_is_named(root, tmp_path):
    with pytest.raises(CorpusError, match="test_speaker 'bobby' is not in FSDD; the speakers are ann, bob"):
        FSDD(str(root), test_speaker="bobby").load(tmp_path)


def test_missing_and_misnamed_recordings_are_named(tmp_path):
    with pytest.raises(CorpusError, match="there is no folder .*recordings"):
        FSDD(str(tmp_path)).load(tmp_path)
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    with pytest.raises(CorpusError, match="holds no .wav and no .flac"):
        FSDD(str(tmp_path)).load(tmp_path)
    (recordings / "1_ann_0.wav").touch()
    with pytest.raises(CorpusError, match="has no recordings for train"):
        FSDD(str(tmp_path)).load(tmp_path)
    (recordings / "1_ann_0.flac").touch()
    with pytest.raises(CorpusError, match=r"1_ann_0\.flac and .*1_ann_0\.wav are the same recording"):
        FSDD(str(tmp_path)).load(tmp_path)
    (recordings / "ten_ann_0.wav").touch()
    with pytest.raises(CorpusError, match=r"ten_ann_0\.wav: expected a name <digit>_<speaker>_<index>"):
        FSDD(str(tmp_path)).load(tmp_path)


def test_the_real_corpus_has_the_published_sizes(tmp_path):
    corpus = FSDD(real_fsdd())
    splits = corpus.load(tmp_path)
    assert [path.name for path in corpus.sources()] == ["recordings"]
    assert (len(splits.train), len(splits.valid), len(splits.test["test"])) == (2400, 300, 300)
    assert len({row["id"] for row in splits.train + splits.valid + splits.test["test"]}) == 3000
    assert len(FSDD(real_fsdd(), test_speaker="theo").load(tmp_path).test["test"]) == 500


def test_listing_the_settings_imports_nothing_heavy():
    code = "import sys, dataset.corpora.fsdd as _; print({'torch', 'numpy', 'soundfile'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
