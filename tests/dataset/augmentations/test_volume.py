"""Random levels."""

from __future__ import annotations

import pytest
import torch

from dataset.augmentations.volume import Volume
from tests.parts.waves import tone


def test_the_gain_is_in_decibels_and_even_in_its_range():
    torch.manual_seed(0)
    wav = tone(440, 0.05)
    gains = [20 * float(torch.log10(Volume([-12, 6])(wav).abs().max() / wav.abs().max())) for _ in range(400)]
    assert min(gains) == pytest.approx(-12, abs=0.3) and max(gains) == pytest.approx(6, abs=0.3)
    assert sum(gains) / len(gains) == pytest.approx(-3, abs=0.6)
    with pytest.raises(ValueError, match="gain_db"):
        Volume([6, -12])
