"""Conversations are what their list says: times, overlaps, levels, the same bytes each time."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import soundfile

from dataset.corpora.common.base import CorpusError
from dataset.corpora.conversations import Conversations
from dataset.diarization.conversations import Style, Utterance, draw
from dataset.diarization.turns import from_json
from tests.conftest import write_table


@pytest.fixture
def source(tmp_path):
    """Three splits with three speakers each, whose utterances are tones of one pitch a speaker."""
    rows = []
    for number, speaker in enumerate(f"{split}{n}" for split in ("train", "valid", "test") for n in range(3)):
        for take in range(3):
            seconds = 0.5 + 0.2 * take
            wav = 0.3 * np.sin(2 * np.pi * 200 * (number + 1) * np.arange(round(seconds * 16000)) / 16000)
            path = tmp_path / f"{speaker}-{take}.wav"
            soundfile.write(path, wav, 16000)
            rows.append({"wav_path": str(path), "speaker": speaker, "split": speaker[:-1]})
    csv = write_table(tmp_path / "all.csv", rows)
    where = {name: {"split": name} for name in ("train", "valid", "test")}
    return {"corpus": "csv", "train": str(csv), "valid": str(csv), "test": {"test": str(csv)}, "where": where}


def corpus(source, **settings):
    sizes = {"num_train": 6, "num_valid": 2, "num_test": 2}
    return Conversations(source=source, **{**sizes, **settings})


def digests(splits):
    return [hashlib.sha256(open(row["wav_path"], "rb").read()).hexdigest() for row in splits.train]


def test_the_audio_is_what_the_turns_say(source, tmp_path):
    splits = corpus(source, speakers=[2, 3], levels=[0, 0]).load(tmp_path / "cache")
    assert [len(splits.train), len(splits.valid), len(splits.test["test"])] == [6, 2, 2]
    for row in splits.train:
        turns = from_json(row["turns"])
        wav, rate = soundfile.read(row["wav_path"])
        assert rate == 16000 and len({turn.speaker for turn in turns}) in (2, 3)
        covered = np.zeros(len(wav), bool)
        for turn in turns:
            covered[round(turn.start * rate) : round(turn.end * rate)] = True
        assert np.abs(wav[~covered]).max(initial=0) < 1e-3
        for turn in turns:
            pitch = 200 * (int(turn.speaker[-1]) + 1)
            piece = wav[round(turn.start * rate) : round(turn.end * rate)]
            spectrum = np.abs(np.fft.rfft(piece))
            assert spectrum[round(pitch * len(piece) / rate)] > 0.2 * spectrum.max()
        by_speaker = {}
        for turn in turns:
            assert turn.start >= by_speaker.get(turn.speaker, 0.0)
            by_speaker[turn.speaker] = turn.end


def test_the_same_settings_give_the_same_bytes_and_others_do_not(source, tmp_path):
    first = digests(corpus(source).load(tmp_path / "a"))
    assert first == digests(corpus(source).load(tmp_path / "b"))
    assert first != digests(corpus(source, seed=1).load(tmp_path / "a"))


def test_overlap_is_as_asked():
    people = [Utterance(f"{s}{n}", s, 2.0) for s in "abcd" for n in range(4)]
    style = Style(overlap_prob=1.0, overlap=(0.5, 0.5), utterances=(1, 1))
    for conversation in draw(people, 20, style, "train", 0):
        first, second = conversation.turns
        assert first.end - second.start == pytest.approx(1.0, abs=2e-3)
    style = Style(overlap_prob=0.0, utterances=(2, 2), pause=(0.2, 0.4))
    for conversation in draw(people, 20, style, "train", 0):
        gaps = [b.start - a.end for a, b in zip(conversation.turns, conversation.turns[1:])]
        assert all(0.19 <= gap <= 0.41 for gap in gaps)


def test_each_utterance_is_used_before_one_is_used_again():
    people = [Utterance(f"{s}{n}", s, 1.0) for s in "ab" for n in range(5)]
    used = [p.utterance.wav_path for c in draw(people, 5, Style(utterances=(1, 1)), "train", 0) for p in c.parts]
    assert sorted(used) == sorted(utterance.wav_path for utterance in people)


def test_noise_has_the_level_that_was_drawn(source, tmp_path):
    (tmp_path / "noise").mkdir()
    soundfile.write(tmp_path / "noise" / "n.wav", 0.1 * np.random.default_rng(0).standard_normal(8000), 16000)
    clean = corpus(source).load(tmp_path / "cache").train
    noisy = corpus(source, noise=str(tmp_path / "noise"), snr=[10, 10]).load(tmp_path / "cache").train
    for one, other in zip(clean, noisy):
        speech, mixed = (soundfile.read(row["wav_path"])[0] for row in (one, other))
        if np.abs(mixed).max() < 0.98 and len(mixed) == len(speech):
            ratio = 10 * np.log10((speech**2).mean() / ((mixed - speech) ** 2).mean())
            assert ratio == pytest.approx(10, abs=0.1)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"speakers": [2, 9]}, "3 speakers, and conversations have up to 9"),
        ({"speakers": [3, 2]}, "speakers is .3, 2.; expected"),
        ({"speaker_column": "spk"}, "has no 'spk'"),
        ({"noise": "/nowhere"}, "noise: /nowhere does not exist"),
    ],
)
def test_wrong_settings_are_named(source, tmp_path, settings, words):
    with pytest.raises(CorpusError, match=words):
        corpus(source, **settings).load(tmp_path / "cache")


def test_a_speaker_in_two_splits_is_refused(source, tmp_path):
    source["where"]["valid"] = {"split": "train"}
    source["where"]["test"] = {"split": "test"}
    with pytest.raises(CorpusError, match="is in train and in valid"):
        corpus(source).load(tmp_path / "cache")
