"""Kaldi's folders for diarization: turns from rttm or from segments, as s3prl's scripts write both."""

from __future__ import annotations

import json

import pytest

from dataset.corpora import CorpusError
from dataset.corpora.manifests.kaldi_turns import KaldiTurns

FILES = {
    "wav.scp": "100-1_200-2 Libri 2 Mix/a.wav\n300-3_400-4 /data/b.wav\nsilent /data/c.wav\n",
    "segments": "x_0 100-1_200-2 0.5 1.25\ny_0 100-1_200-2 1.0 2.5\nz_0 300-3_400-4 0 4\n",
    "utt2spk": "x_0 100\ny_0 200\nz_0 300\n",
    "reco2dur": "100-1_200-2 3.0\n300-3_400-4 4.0\nsilent 1.0\n",
    "rttm": "SPEAKER\t100-1_200-2\t1\t0.5\t0.75\t<NA>\t<NA>\t100\t<NA>\n"
    "SPEAKER\t100-1_200-2\t1\t1.0\t1.5\t<NA>\t<NA>\t200\t<NA>\n"
    "SPEAKER\t300-3_400-4\t1\t0\t4\t<NA>\t<NA>\t300\t<NA>\n",
}


def folder(path, **changed):
    path.mkdir(parents=True)
    for name, text in (FILES | changed).items():
        if text is not None:
            (path / name).write_text(text)
    return str(path)


def turns(rows):
    return {row["id"]: json.loads(row["turns"]) for row in rows}


EXPECTED = {
    "100-1_200-2": [[0.5, 1.25, "100"], [1.0, 2.5, "200"]],
    "300-3_400-4": [[0.0, 4.0, "300"]],
    "silent": [],
}


@pytest.mark.parametrize("changed", [{}, {"rttm": None}])
def test_turns_are_those_of_rttm_or_of_segments(tmp_path, changed):
    paths = {"train": folder(tmp_path / "train ü", **changed)}
    for name in ("valid", "test"):  # no id may be in two sets
        paths[name] = folder(tmp_path / name, **{file: renamed(text, name) for file, text in FILES.items()})
    corpus = KaldiTurns(**paths)
    splits = corpus.load(tmp_path)
    assert turns(splits.train) == EXPECTED
    assert splits.train[0]["wav_path"].endswith("Libri 2 Mix/a.wav")
    assert turns(splits.test["test"]) == {f"test{id}": own for id, own in EXPECTED.items()}
    assert {"wav.scp", "rttm", "segments", "utt2spk"} == {path.name for path in corpus.sources()}


def renamed(text, name):
    for id in EXPECTED:
        text = text.replace(id, f"{name}{id}")
    return text


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"rttm": None, "segments": None}, "has neither rttm nor segments with utt2spk"),
        ({"rttm": None, "utt2spk": None}, "no utt2spk that tells their speakers"),
        ({"rttm": None, "utt2spk": "x_0 100\n"}, "segments, line 2: .*utt2spk has no speaker for 'y_0'"),
        ({"rttm": None, "segments": "x_0 100-1_200-2 2 1\n"}, "line 1: expected an end after 2 s, got 1"),
        ({"rttm": FILES["rttm"].replace("300-3", "9-9")}, "rttm: wav.scp has no recording '9-9_400-4'"),
        ({"rttm": "SPEAKER a 1 0\n"}, "rttm, line 1: expected 8 fields or more"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(tmp_path, changed, message):
    train = folder(tmp_path / "train", **changed)
    with pytest.raises(CorpusError, match=message):
        KaldiTurns(train=train, valid_fraction=0.4, test_fraction=0.4).load(tmp_path)
