"""Several augmentations: their order, their variants, and a part of the utterances."""

from __future__ import annotations

import pytest
import torch

from dataset.augmentations.band_limit import BandLimit
from dataset.augmentations.chain import Chain, Sometimes
from dataset.augmentations.crop import RandomCrop
from dataset.augmentations.speed import SpeedPerturb
from tests.parts.waves import tone


def test_changes_follow_one_another():
    wav = tone(500)
    assert len(Chain([SpeedPerturb([0.5]), RandomCrop(1.5)])(wav)) == 24000
    assert Chain([])(wav) is wav


def test_a_chain_of_choices_has_each_combination_as_a_variant():
    chain = Chain([SpeedPerturb([0.9, 1.0]), BandLimit([2000, 4000, 8000])])
    wav = tone(3000, 0.1)
    assert chain.num_variants == 6
    for number in range(6):
        speed, limit = divmod(number, 3)
        expected = BandLimit([2000, 4000, 8000]).apply(SpeedPerturb([0.9, 1.0]).apply(wav, speed), limit)
        assert torch.equal(chain.apply(wav, number), expected)
    drawn = set()
    for seed in range(60):
        torch.manual_seed(seed)
        at_once = chain(wav)
        torch.manual_seed(seed)
        number = chain.draw()
        assert torch.equal(chain.apply(wav, number), at_once)
        drawn.add(number)
    assert drawn == set(range(6))
    assert Chain([SpeedPerturb([0.9]), RandomCrop(1.0)]).num_variants is None


@pytest.mark.parametrize("prob", [0.0, 0.3, 1.0])
def test_a_part_of_the_utterances_is_changed(prob):
    torch.manual_seed(0)
    sometimes = Sometimes(lambda wav: wav + 1, prob)
    changed = sum(bool(sometimes(torch.zeros(1)).any()) for _ in range(1000))
    assert changed == pytest.approx(1000 * prob, abs=50)


@pytest.mark.parametrize("prob", [-0.1, 1.1])
def test_a_probability_lies_between_0_and_1(prob):
    with pytest.raises(ValueError, match="expected from 0 to 1"):
        Sometimes(lambda wav: wav, prob)
