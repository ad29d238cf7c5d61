"""Speed perturbation and pieces: what changes, by torch's generator alone."""

from __future__ import annotations

import pytest
import torch

from dataset.augment import BandLimit, Chain, RandomCrop, SpeedPerturb, build_augmentation


def tone(hertz, seconds=1.0):
    return torch.sin(2 * torch.pi * hertz * torch.arange(int(16000 * seconds)) / 16000)


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


def test_a_piece_is_a_stretch_of_the_utterance_another_each_time_and_follows_the_generator():
    wav, crop = torch.arange(16000), RandomCrop(0.25)
    torch.manual_seed(5)
    pieces = [crop(wav) for _ in range(200)]
    assert all(len(piece) == 4000 and (piece.diff() == 1).all() for piece in pieces)
    starts = {int(piece[0]) for piece in pieces}
    assert len(starts) > 150 and min(starts) < 500 and max(starts) > 11500 and max(starts) <= 12000
    torch.manual_seed(5)
    assert int(crop(wav)[0]) == int(pieces[0][0])


def test_an_utterance_shorter_than_the_crop_is_kept_whole():
    for length in (0, 1, 3999, 4000):
        assert len(RandomCrop(0.25)(torch.zeros(length))) == length
    with pytest.raises(ValueError, match="has no sample"):
        RandomCrop(0.00001)


def test_changes_follow_one_another():
    wav = tone(500)
    assert len(Chain([SpeedPerturb([0.5]), RandomCrop(1.5)])(wav)) == 24000
    assert Chain([])(wav) is wav


def test_the_settings_of_a_data_set_decide_which_steps_there_are_and_in_which_order():
    assert build_augmentation({"speeds": [1.0]}) is None
    assert build_augmentation({"speeds": [1.0], "max_seconds": None}) is None
    assert len(build_augmentation({"speeds": [0.5]})(tone(500))) == 2 * len(tone(500))
    chain = build_augmentation({"speeds": [0.5], "max_seconds": 1.5})
    assert [type(step) for step in chain.steps] == [SpeedPerturb, RandomCrop]
    assert len(chain(tone(500))) == 24000


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


def test_a_chain_of_choices_has_each_combination_as_a_variant():
    chain = build_augmentation({"speeds": [0.9, 1.0], "band_limits": [2000, 4000, 8000]})
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
