"""Speed perturbation: what changes, by torch's generator alone."""

from __future__ import annotations

import pytest
import torch

from dataset.augmentations.speed import SpeedPerturb
from tests.parts.waves import tone


def pitch(wav):
    return float(torch.fft.rfft(wav).abs().argmax()) * 16000 / len(wav)


@pytest.mark.parametrize("speed", [0.5, 0.9, 1.1, 2.0])
def test_faster_is_shorter_and_higher(speed):
    wav = SpeedPerturb([speed])(tone(500))
    assert len(wav) == pytest.approx(16000 / speed, abs=1)
    assert pitch(wav) == pytest.approx(500 * speed, abs=2)


def test_the_speed_of_one_and_no_samples_are_left_alone():
    wav = tone(500)
    assert SpeedPerturb([1.0])(wav) is wav
    assert len(SpeedPerturb([0.9])(wav[:0])) == 0


def test_draws_follow_the_generator_and_are_even():
    perturb, lengths = SpeedPerturb([0.9, 1.0, 1.1]), []
    for _ in range(2):
        torch.manual_seed(3)
        lengths.append([len(perturb(tone(500, 0.05))) for _ in range(300)])
    assert lengths[0] == lengths[1]
    assert all(70 < lengths[0].count(n) < 130 for n in set(lengths[0])) and len(set(lengths[0])) == 3


@pytest.mark.parametrize("speeds", [[], [0], [3.0], [-1.0]])
def test_speeds_that_cannot_be_are_refused(speeds):
    with pytest.raises(ValueError, match="between 0.5 and 2"):
        SpeedPerturb(speeds)
