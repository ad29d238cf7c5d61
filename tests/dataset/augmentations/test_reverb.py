"""Reverberation is a convolution; the direct path, the length and the power stay."""

from __future__ import annotations

import numpy as np
import soundfile
import torch
from scipy.signal import fftconvolve

from dataset.augmentations.reverb import Reverb
from tests.parts.waves import tone


def impulse(tmp_path, response):
    soundfile.write(tmp_path / "rir.wav", response, 16000, subtype="FLOAT")
    return Reverb(tmp_path)


def test_it_is_scipy_s_convolution_from_the_direct_path_on(tmp_path):
    random = np.random.default_rng(0)
    response = np.zeros(4000)
    response[120:] = 0.2 * random.standard_normal(3880) * np.exp(-np.arange(3880) / 800)
    response[120] = 1.0
    wav = torch.from_numpy(random.standard_normal(16000)).float()
    wet = impulse(tmp_path, response)(wav)
    expected = fftconvolve(wav.numpy(), response.astype(np.float32))[120 : 120 + 16000]
    expected *= np.sqrt(np.mean(wav.numpy() ** 2) / np.mean(expected**2))
    np.testing.assert_allclose(wet.numpy(), expected, atol=1e-4)
    assert wet.dtype == torch.float32


def test_a_single_impulse_changes_nothing(tmp_path):
    response = np.zeros(300)
    response[77] = -0.5
    wav = tone(440)
    torch.testing.assert_close(impulse(tmp_path, -response)(wav), wav, atol=1e-5, rtol=0)


def test_silence_and_no_samples_stay_as_they_are(tmp_path):
    reverb = impulse(tmp_path, np.ones(10))
    assert not reverb(torch.zeros(50)).any() and len(reverb(torch.zeros(0))) == 0
    assert torch.equal(impulse(tmp_path, np.zeros(10))(tone(440)), tone(440))
