"""AMI, in the layout of the AMI-diarization-setup."""

from __future__ import annotations

import json

import pytest

from dataset.corpora import CorpusError
from dataset.corpora.ami import AMI

MEETINGS = {"train": ["ES2002a", "EN2001a"], "dev": ["ES2011a"], "test": ["EN2002a"]}


@pytest.fixture
def corpus(tmp_path):
    setup, audio = tmp_path / "AMI-diarization-setup", tmp_path / "amicorpus ü"
    for name, meetings in MEETINGS.items():
        for folder in (setup / "lists", setup / "only_words/rttms" / name, setup / "uems" / name):
            folder.mkdir(parents=True, exist_ok=True)
        (setup / "lists" / f"{name}.meetings.txt").write_text("".join(f"{own}\n" for own in meetings))
        for own in meetings:
            (setup / "only_words/rttms" / name / f"{own}.rttm").write_text(
                f"SPEAKER {own} 1 3.34 1.5 <NA> <NA> MEE068 <NA> <NA>\n"
                f"SPEAKER {own} 1 4.00 2.0 <NA> <NA> FEO066 <NA> <NA>\n"
            )
            (setup / "uems" / name / f"{own}.uem").write_text(f"{own} 1 0.000 2142.709375\n")
            (audio / own / "audio").mkdir(parents=True)
            for microphone in ("Mix-Headset", "Headset-0", "Array1-01"):
                (audio / own / "audio" / f"{own}.{microphone}.wav").write_bytes(b"")
    return AMI(dataset_root=str(setup), audio=str(audio))


def test_meetings_of_the_lists_with_turns_and_what_is_scored(corpus, tmp_path):
    splits = corpus.load(tmp_path)
    assert [row["id"] for row in splits.train] == MEETINGS["train"] and [row["id"] for row in splits.valid] == [
        "ES2011a"
    ]
    (row,) = splits.test["test"]
    assert json.loads(row["turns"]) == [[3.34, 4.84, "MEE068"], [4.0, 6.0, "FEO066"]]
    assert json.loads(row["scored"]) == [[0.0, 2142.709375]]
    assert row["wav_path"].endswith("EN2002a/audio/EN2002a.Mix-Headset.wav")
    corpus.microphone = "Array1-01"
    assert corpus.load(tmp_path).valid[0]["wav_path"].endswith("ES2011a.Array1-01.wav")
    assert len([path for path in corpus.sources() if path.suffix in (".rttm", ".uem")]) == 8


def test_what_is_missing_is_named(corpus, tmp_path):
    corpus.microphone = "Lapel-0"
    with pytest.raises(CorpusError, match="has no recording ES2002a.Lapel-0.wav, which .*train.meetings.txt lists"):
        corpus.load(tmp_path)
    corpus.microphone = "Mix-Headset"
    (tmp_path / "AMI-diarization-setup/uems/test/EN2002a.uem").unlink()
    with pytest.raises(CorpusError, match="there is no file .*EN2002a.uem"):
        corpus.load(tmp_path)
    corpus.references = "word_and_vocalsounds"
    with pytest.raises(CorpusError, match="word_and_vocalsounds/rttms/train/ES2002a.rttm"):
        corpus.load(tmp_path)
