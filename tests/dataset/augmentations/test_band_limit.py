"""Narrow bands: nothing is left above them, and all below."""

from __future__ import annotations

import pytest
import torch

from dataset.augmentations.band_limit import BandLimit
from tests.parts.waves import tone


def above(wav, hertz):
    """The share of the energy above a frequency."""
    power = torch.fft.rfft(wav).abs() ** 2
    return float(power[int(hertz * len(wav) / 16000) :].sum() / power.sum())


@pytest.mark.parametrize("limit", [2000.0, 4000.0, 5510.3])
def test_nothing_is_left_above_the_limit_and_all_below_it(limit):
    torch.manual_seed(0)
    noise = torch.randn(16000)
    narrow = BandLimit([limit])(noise)
    assert len(narrow) == len(noise) and above(narrow, 1.15 * limit) < 1e-3
    assert above(noise, 1.15 * limit) > 0.15
    assert torch.allclose(below(noise, limit), below(narrow, limit), rtol=0, atol=10)
    assert float(below(noise, limit).abs().max()) > 300


def below(wav, hertz):
    """The spectrum below 60 % of a frequency."""
    return torch.fft.rfft(wav)[: int(0.6 * hertz * len(wav) / 16000)]


def test_a_narrow_band_is_that_of_audio_at_a_lower_rate():
    from torchaudio.functional import resample

    torch.manual_seed(0)
    recorded = torch.randn(8000)
    wav = resample(recorded, 8000, 16000)
    assert torch.allclose(below(BandLimit([4000])(wav), 4000), below(wav, 4000), rtol=0, atol=10)
    assert float(below(wav, 4000).abs().max()) > 300


def test_the_whole_band_and_no_samples_are_left_alone():
    wav = tone(500)
    assert BandLimit([8000])(wav) is wav and len(BandLimit([4000])(wav[:0])) == 0


@pytest.mark.parametrize("limits", [[], [0], [-4000.0]])
def test_limits_that_cannot_be_are_refused(limits):
    with pytest.raises(ValueError, match="expected at least one, each of 500 Hz or more"):
        BandLimit(limits)
