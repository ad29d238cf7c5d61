"""Norms over the true samples or frames: the source libraries' on each utterance alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nn.upstream.pretrained.masked_norms import TimeGroupNorm, normalise_wav
from tests.parts.upstreams import padded


def test_group_norm_under_autocast_computes_in_float32_as_torch_does():
    norm = TimeGroupNorm(4, 4)
    x = 100 + torch.randn(2, 4, 50)
    expected = torch.nn.functional.group_norm(x[1:, :, :30], 4)
    norm.lengths = torch.tensor([50, 30])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = norm(x)
    torch.testing.assert_close(y[1:, :, :30], expected, atol=1e-4, rtol=0)


def test_normalisation_of_waveforms_is_over_true_samples_and_survives_silence():
    wav, wav_len = padded([500, 100, 0])
    y = normalise_wav(wav, wav_len, 1e-5)
    torch.testing.assert_close(y[1:2, :100], torch.nn.functional.layer_norm(wav[1:2, :100], (100,)), atol=1e-5, rtol=0)
    assert not y[1, 100:].any() and not y[2].any()
    assert not normalise_wav(torch.full((1, 50), 0.3), torch.tensor([50]), 1e-5).any()


def test_a_waveform_of_numpy_s_precision_is_normalised_as_the_library_does():
    transformers = pytest.importorskip("transformers")
    from nn.upstream.pretrained.huggingface_families import WAV_EPSILON

    wav, wav_len = padded([5000, 900])
    for row, length in zip(wav, wav_len.tolist()):
        (expected,) = transformers.Wav2Vec2FeatureExtractor(do_normalize=True)(
            row[:length].numpy(), sampling_rate=16000
        ).input_values
        got = normalise_wav(row[None, :length], torch.tensor([length]), WAV_EPSILON)[0]
        np.testing.assert_allclose(got.numpy(), expected, atol=2e-6)
