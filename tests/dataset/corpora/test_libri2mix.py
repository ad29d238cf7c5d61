"""Libri2Mix, in the layout of LibriMix's scripts, with s3prl's RTTM files of the utterances."""

from __future__ import annotations

import json

import pytest

from dataset.corpora import CorpusError
from dataset.corpora.libri2mix import Libri2Mix

MIXTURES = {"train-100": "84-1211-0001_127-1281-0003", "dev": "251-1-0000_422-2-0001", "test": "61-70-0005_672-9-0001"}
RTTM = {"train-100": "train_clean_100", "dev": "dev_clean", "test": "test_clean"}
HEADER = "mixture_ID,mixture_path,source_1_path,source_2_path,noise_path,length\n"


@pytest.fixture
def corpus(tmp_path):
    root, rttm = tmp_path / "Libri2Mix" / "wav16k" / "max", tmp_path / "LibriSpeech"
    (root / "metadata").mkdir(parents=True)
    rttm.mkdir()
    for name, mixture in MIXTURES.items():
        row = f"{mixture},/somewhere/else/Libri2Mix/wav16k/max/{name}/mix_both/{mixture}.wav,s1,s2,noise,48000\n"
        (root / "metadata" / f"mixture_{name}_mix_both.csv").write_text(HEADER + row)
        one, two = mixture.split("_")
        lines = [(one, 0.25, 1.0), (one, 2.0, 0.5), (two, 0.5, 9.0), (two, 12.0, 1.0)]
        text = "".join(
            f"SPEAKER {own.partition('-')[2]} 1 {start} {length} <NA> <NA> {own.partition('-')[0]} <NA> <NA>\n"
            for own, start, length in lines
        )
        (rttm / f"{RTTM[name]}.rttm").write_text(text)
    return Libri2Mix(dataset_root=str(root), rttm=str(rttm))


def test_turns_are_those_of_both_utterances_inside_the_mixture(corpus, tmp_path):
    splits = corpus.load(tmp_path)
    (row,) = splits.train
    assert row["id"] == MIXTURES["train-100"]
    assert row["wav_path"] == str(tmp_path / f"Libri2Mix/wav16k/max/train-100/mix_both/{row['id']}.wav")
    assert json.loads(row["turns"]) == [[0.25, 1.25, "84"], [0.5, 3.0, "127"], [2.0, 2.5, "84"]]
    assert [row["id"] for row in splits.valid] == [MIXTURES["dev"]] and list(splits.test) == ["test"]
    assert all(path.is_file() for path in corpus.sources())


def test_the_names_of_s3prl_s_copy_are_known(corpus, tmp_path):
    path = tmp_path / "Libri2Mix/wav16k/max/metadata/mixture_train-100_mix_both.csv"
    path.rename(path.with_name("mixture_train_mix_both.csv"))
    assert len(corpus.load(tmp_path).train) == 1


def test_the_length_of_audio_at_8_khz_is_that_of_its_samples(corpus, tmp_path):
    (tmp_path / "Libri2Mix/wav16k").rename(tmp_path / "Libri2Mix/wav8k")
    corpus.dataset_root = corpus.dataset_root.replace("wav16k", "wav8k")
    (row,) = corpus.load(tmp_path).train
    assert json.loads(row["turns"])[1] == [0.5, 6.0, "127"]  # to the end of 48000 samples


def test_what_is_missing_is_named(corpus, tmp_path):
    path = tmp_path / "LibriSpeech/dev_clean.rttm"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if " 251 " not in line))
    with pytest.raises(CorpusError, match="line 2: .*dev_clean.rttm has no turns of the utterance '251-1-0000'"):
        corpus.load(tmp_path)
    corpus.kind = "mix_clean"
    with pytest.raises(CorpusError, match="has no mixture_train_mix_clean.csv or mixture_train-100_mix_clean.csv"):
        corpus.load(tmp_path)
