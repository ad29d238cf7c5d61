"""The features "mel" and "linear" are s3prl's: torchaudio's centred transforms, a logarithm, normalisation."""

from __future__ import annotations

import pytest
import torch
import torchaudio

from nn.upstream.signal.stft import Linear, Mel
from tests.parts.signals import LENGTHS, alone, noise
from tests.parts.upstreams import padded

REFERENCES = {
    "linear": (Linear, torchaudio.transforms.Spectrogram(n_fft=400, hop_length=160)),
    "mel": (Mel, torchaudio.transforms.MelSpectrogram(16000, n_fft=400, hop_length=160, n_mels=80)),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_features_are_torchaudio_s_alone_and_in_a_padded_batch(name):
    upstream_cls, transform = REFERENCES[name]
    (x,), (lengths,) = upstream_cls(cmvn="none")(*padded(LENGTHS))
    for row, frames, wav in zip(x, lengths.tolist(), noise()):
        if len(wav) <= 200:  # torch.stft cannot reflect it
            assert frames == 0
            continue
        expected = (transform(wav).t() + 1e-10).log()
        torch.testing.assert_close(row[:frames], expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("name", "size"), [("linear", 201), ("mel", 80)])
def test_features_are_normalised_by_default_as_in_s3prl(name, size):
    upstream_cls, transform = REFERENCES[name]
    for wav in noise()[:2]:
        expected = (transform(wav).t() + 1e-10).log()
        expected = (expected - expected.mean(0)) / (expected.std(0) + 1e-10)
        x = alone(upstream_cls(), wav)
        assert x.shape == (1 + len(wav) // 160, size)
        torch.testing.assert_close(x, expected, atol=1e-3, rtol=0)


def test_an_odd_window_has_the_frames_of_torch_stft():
    upstream = Linear(frame_length=20.07, cmvn="none")
    assert upstream.window_size == 321
    for samples in (161, 320, 480, 481):
        wav = torch.randn(samples, generator=torch.Generator().manual_seed(0))
        expected = torch.stft(wav, 321, 160, window=torch.hann_window(321), return_complex=True).abs().square()
        torch.testing.assert_close(alone(upstream, wav), (expected.t() + 1e-10).log(), atol=1e-4, rtol=0)
