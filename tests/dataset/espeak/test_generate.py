"""The recordings have the words, times, levels and pitch of their sentences."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch
import torchaudio
from torchaudio.functional import detect_pitch_frequency

from dataset.espeak import ToySentence, synthesise
from dataset.espeak.generate import resample

pytest.importorskip("espeakng_loader", reason="espeakng-loader (extra [toy]) is not installed")


def test_words_and_phones_lie_inside_the_audio_in_the_order_of_the_text(recordings):
    _, spoken = recordings
    expected = [
        "put the cup on the table please",
        "to be or not to be that is the question",
        "I'm at the café number 22",
        "guten morgen liebe leute",
    ]
    assert [" ".join(label for *_, label in s.words) for s in spoken] == expected
    for s in spoken:
        assert soundfile.info(s.wav_path).duration == s.seconds
        for segments in (s.words, s.phones):
            times = [t for start, end, _ in segments for t in (start, end)]
            assert times == sorted(times) and 0.1 <= times[0] and times[-1] <= s.seconds - 0.1 + 1e-4
            assert all(start < end and label for start, end, label in segments)
        starts = {start for start, *_ in s.phones}
        assert all(start in starts for start, *_ in s.words), "a word begins with a phone"


def test_word_times_agree_with_the_waveform(recordings):
    """The comma of the first sentence is a pause: silent, between loud words."""
    spoken = recordings[1][0]
    samples, rate = soundfile.read(spoken.wav_path)
    table, please = spoken.words[-2:]

    def level(start, end):
        return np.sqrt(np.mean(samples[round(start * rate) : round(end * rate)] ** 2))

    assert please[0] - table[1] > 0.05
    assert level(table[1] + 0.01, please[0]) < 0.01 * level(*table[:2])
    assert level(0, 0.095) < 1e-3 * level(*please[:2])


def test_gain_and_noise_have_their_levels(tmp_path):
    sentence = ToySentence("x", "the rain in the garden")
    plain, quiet = (
        soundfile.read(synthesise([ToySentence(**(vars(sentence) | kw))], tmp_path)[0].wav_path)[0]
        for kw in ({}, {"gain_db": -20.0, "noise_db": -40.0})
    )
    noise = quiet - 0.1 * plain
    assert 20 * np.log10(np.std(noise)) == pytest.approx(-40, abs=0.2)
    assert np.std(plain[:1600]) == 0


def test_the_pitch_range_widens_the_pitch(tmp_path):
    def spread(path):
        wav = torch.from_numpy(soundfile.read(path, dtype="float32")[0])
        pitches = detect_pitch_frequency(wav[None, 2400:-2400], 16000, freq_low=60, freq_high=250)[0]
        return float(pitches.quantile(0.9) - pitches.quantile(0.1))

    sentences = [ToySentence(f"r{r}", "we are mowing all the lawn in london", pitch_range=r) for r in (0, 50, 99)]
    flat, usual, lively = (spread(spoken.wav_path) for spoken in synthesise(sentences, tmp_path))
    assert flat < usual < lively, (flat, usual, lively)


def test_resampling_agrees_with_torchaudio():
    t = np.arange(22050) / 22050
    x = sum(np.sin(2 * np.pi * f * t) for f in (200, 1000, 3000, 6000)) * np.hanning(len(t))
    expected = torchaudio.functional.resample(torch.from_numpy(x), 22050, 16000, lowpass_filter_width=256).numpy()
    ours = resample(x)
    assert len(ours) == len(expected) == 16000
    assert np.abs(ours - expected)[100:-100].max() < 2e-3
