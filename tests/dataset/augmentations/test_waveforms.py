"""Tempo, codecs, shifts and dropped parts: each does what its name says, and is drawn from torch's generator."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dataset.augmentations import AUGMENTATIONS
from dataset.augmentations.codec import FORMATS, Codec, coded
from dataset.augmentations.drop_bands import DropBands
from dataset.augmentations.drop_chunks import DropChunks
from dataset.augmentations.tempo import Tempo
from dataset.augmentations.time_shift import TimeShift
from problems.engine.config.registry import load_class
from tests.parts.waves import tone

NOISE = 0.1 * torch.randn(16000, generator=torch.Generator().manual_seed(0))
ALONE = [name for name in AUGMENTATIONS if name not in ("noise", "reverb", "babble")]


def peak_hz(wav):
    return float(torch.fft.rfft(wav).abs().argmax()) * 16000 / len(wav)


@pytest.mark.parametrize("name", ALONE)
def test_draws_follow_the_seed_and_the_input_is_left_alone(name):
    augment, wav = load_class(AUGMENTATIONS[name])(), NOISE.clone()
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(augment(wav))
    assert torch.equal(results[0], results[1])
    assert len(results[0]) != len(results[2]) or not torch.equal(results[0], results[2])
    assert torch.equal(wav, NOISE) and results[0].dtype == torch.float32


@pytest.mark.parametrize("name", ALONE)
@pytest.mark.parametrize("samples", [0, 1, 10])
def test_very_short_utterances_survive(name, samples):
    assert torch.isfinite(load_class(AUGMENTATIONS[name])()(NOISE[:samples])).all()


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_the_tempo_changes_and_the_pitch_does_not(factor):
    wav = tone(440, 2.0)
    changed = Tempo([factor, factor])(wav)
    assert len(changed) == round(len(wav) / factor)
    assert peak_hz(changed) == pytest.approx(440, abs=3)
    assert torch.equal(Tempo([1.0, 1.0])(wav), wav)
    with pytest.raises(ValueError, match="between 0.5 and 2"):
        Tempo([0.1, 1.0])


@pytest.mark.parametrize("name", FORMATS)
def test_a_codec_leaves_length_and_place_and_what_it_can_hold(name):
    wav = 0.4 * tone(600, 1.0)
    result = coded(wav, name)
    assert len(result) == len(wav)
    middle = slice(2000, 14000)
    error = (result[middle] - wav[middle]).square().mean() / wav[middle].square().mean()
    assert 1e-9 < float(error) < 0.05, "changed, but little, and in the same place"
    high = coded(0.4 * tone(6000, 1.0), name)[middle]
    assert (float(high.square().mean()) < 1e-3) == (FORMATS[name][2] == 8000)


@pytest.mark.parametrize("name", FORMATS)
def test_a_codec_takes_minutes_of_speech(name):
    assert len(coded(NOISE.repeat(240), name)) == 240 * 16000


def test_the_law_of_a_codec_is_that_of_its_standard():
    """The signal-to-noise ratio of mu-law (ITU-T G.711) is about 38 dB for a loud signal."""
    wav = 0.5 * tone(300, 1.0)
    noise = coded(wav, "mulaw")[2000:14000] - wav[2000:14000]
    assert float(10 * torch.log10(wav.square().mean() / noise.square().mean())) == pytest.approx(38, abs=3)


def test_a_codec_takes_waveforms_above_full_scale_and_unknown_names_are_refused():
    wav = 3 * tone(600, 0.5)
    assert float(coded(wav, "gsm")[1000:7000].abs().max()) == pytest.approx(3, abs=0.6)
    with pytest.raises(ValueError, match=r"names are \['amr'\]; expected some of mulaw"):
        Codec(["amr"])


@pytest.mark.parametrize("seconds", [0.25, -0.25, 0.0, 9.0, -9.0])
def test_a_shift_moves_the_utterance(seconds):
    shifted = TimeShift([seconds, seconds])(NOISE)
    samples = round(seconds * 16000)
    expected = torch.zeros(16000)
    if abs(samples) < 16000:
        source = NOISE[: 16000 - samples] if samples >= 0 else NOISE[-samples:]
        expected[max(0, samples) : max(0, samples) + len(source)] = source
    assert torch.equal(shifted, expected)


def test_dropped_chunks_are_as_many_and_as_long_as_asked_for():
    for seed in range(20):
        torch.manual_seed(seed)
        silent = (DropChunks([2, 2], [0.05, 0.05])(NOISE) == 0).numpy()
        starts = np.flatnonzero(np.diff(np.concatenate([[0], silent.astype(int)])) == 1)
        assert 1 <= len(starts) <= 2 and 800 <= silent.sum() <= 1600
    assert (DropChunks([50, 50], [0.1, 0.1], most=0.2)(NOISE) == 0).sum() <= 3200
    with pytest.raises(ValueError, match="most is 0"):
        DropChunks(most=0)


def test_dropped_bands_are_gone_and_the_others_are_kept():
    torch.manual_seed(3)
    before = torch.fft.rfft(NOISE.double()).abs()
    after = torch.fft.rfft(DropBands([2, 2], [200, 200])(NOISE).double()).abs()
    gone = after < 1e-3 * before
    hertz = gone.sum().item() * 8000 / len(before)
    assert 190 < hertz < 410
    assert torch.allclose(after[~gone], before[~gone], rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="count is"):
        DropBands([3, 1])
