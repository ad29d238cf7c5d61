"""Babble: the ratio asked for, and voices that are equally loud."""

from __future__ import annotations

import pytest
import soundfile
import torch

from dataset.augmentations.babble import Babble
from tests.parts.waves import tone


@pytest.fixture
def voices(tmp_path):
    """Tones of 300, 500 and 700 Hz, of very different levels."""
    for number, (hertz, level) in enumerate(((300, 0.9), (500, 0.05), (700, 0.3))):
        soundfile.write(tmp_path / f"{number}.wav", (level * tone(hertz, 2)).numpy(), 16000)
    return tmp_path


@pytest.mark.parametrize("snr", [0.0, 12.0])
@pytest.mark.parametrize("number", [1, 5])
def test_the_ratio_is_the_one_asked_for(voices, snr, number):
    wav = 0.2 * tone(440, 1)
    for seed in range(5):
        torch.manual_seed(seed)
        babble = Babble(voices, [snr, snr], [number, number])(wav) - wav
        ratio = 10 * torch.log10(wav.double().square().mean() / babble.double().square().mean())
        assert float(ratio) == pytest.approx(snr, abs=0.1)


def test_every_voice_is_as_loud_as_the_others(voices):
    torch.manual_seed(0)
    wav = 0.2 * tone(2000, 1)
    levels = torch.zeros(3)
    for _ in range(60):
        spectrum = torch.fft.rfft(Babble(voices, [0, 0], [1, 1])(wav) - wav).abs()
        levels += torch.stack([spectrum[hertz - 5 : hertz + 5].max() for hertz in (300, 500, 700)])
    assert float(levels.max() / levels.min()) < 2.5  # as often as each was drawn


def test_wrong_numbers_are_refused(voices):
    with pytest.raises(ValueError, match=r"voices is \[3, 1\]"):
        Babble(voices, voices=[3, 1])
    with pytest.raises(ValueError, match=r"snr is \[9, 1\]; expected \[least, greatest\] in dB"):
        Babble(voices, [9, 1])
