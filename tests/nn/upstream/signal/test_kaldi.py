"""Filter banks, MFCC and the log spectrogram are those of torchaudio's Kaldi compliance, alone and in a batch."""

from __future__ import annotations

import pytest
import torch
from torchaudio.compliance import kaldi

from nn.upstream.signal.kaldi import MFCC, Fbank, Spectrogram
from tests.parts.signals import LENGTHS, alone, noise, real_speech
from tests.parts.upstreams import padded

CASES = {
    "fbank": (Fbank, {"num_mel_bins": 80}, kaldi.fbank),
    "mfcc": (MFCC, {"num_ceps": 13, "num_mel_bins": 40}, kaldi.mfcc),
    "spectrogram": (Spectrogram, {}, kaldi.spectrogram),
}


@pytest.mark.parametrize("name", CASES)
def test_features_of_speech_are_kaldi_s(name):
    upstream_cls, conf, reference = CASES[name]
    for wav in real_speech():
        expected = reference(wav.unsqueeze(0), dither=0.0, **conf)
        torch.testing.assert_close(alone(upstream_cls(cmvn="none", **conf), wav), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("frame_length", "frame_shift"), [(25.0, 10.0), (20.0, 12.5)])
def test_features_in_a_padded_batch_are_kaldi_s(name, frame_length, frame_shift):
    upstream_cls, conf, reference = CASES[name]
    conf = conf | {"frame_length": frame_length, "frame_shift": frame_shift}
    (x,), (lengths,) = upstream_cls(cmvn="none", **conf)(*padded(LENGTHS))
    for row, frames, wav in zip(x, lengths.tolist(), noise()):
        if len(wav) < int(16 * frame_length):
            assert frames == 0
            continue
        expected = reference(wav.unsqueeze(0), dither=0.0, **conf)
        torch.testing.assert_close(row[:frames], expected, atol=1e-4, rtol=0)


def test_the_spectrogram_of_s3prl_has_257_normalised_log_features():
    """``kaldi.spectrogram`` with s3prl's settings, then mean and variance over the utterance."""
    (wav, *_) = noise()
    expected = kaldi.spectrogram(wav.unsqueeze(0), frame_length=25.0, frame_shift=10.0, sample_frequency=16000)
    expected = (expected - expected.mean(0)) / (expected.std(0) + 1e-10)
    x = alone(Spectrogram(), wav)
    assert x.shape == (98, 257)
    torch.testing.assert_close(x, expected, atol=1e-4, rtol=0)


def test_features_stay_float32_under_autocast():
    wav, wav_len = padded([4000])
    expected = Fbank()(wav, wav_len)[0][0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(Fbank()(wav, wav_len)[0][0], expected)
