"""SpecAugment: masks and warps inside each utterance, reproducible, never in place."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import interpolate

from nn.specaug import SpecAugment, warp_time

OFF = {"time_warp": 0, "num_freq_masks": 0, "num_time_masks": 0}


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def batch(lengths: list[int], size: int = 20) -> tuple[torch.Tensor, torch.Tensor]:
    """Features without a zero, so that every zero is a mask."""
    generator = torch.Generator().manual_seed(0)
    return 1 + torch.rand(len(lengths), max(lengths), size, generator=generator), torch.tensor(lengths)


def test_the_input_is_unchanged_and_padding_untouched():
    x, x_len = batch([60, 40, 11, 10, 3, 1, 0])
    before = x.clone()
    augment = SpecAugment(freq_mask_width=[2, 8], time_mask_width=[2, 10])
    for _ in range(20):
        y = augment(x, x_len)
        assert torch.equal(x, before)
        assert y.isfinite().all()
        assert not torch.equal(y, x)
        for i, n in enumerate(x_len.tolist()):
            assert torch.equal(y[i, n:], x[i, n:])


def test_evaluation_mode_returns_the_input_and_draws_nothing():
    x, x_len = batch([30, 20])
    state = torch.get_rng_state()
    assert SpecAugment().eval()(x, x_len) is x
    assert torch.equal(torch.get_rng_state(), state)


def test_restoring_torch_s_rng_repeats_the_augmentation():
    x, x_len = batch([60, 40, 25])
    augment = SpecAugment()
    augment(x, x_len)
    state = torch.get_rng_state()
    first, second = augment(x, x_len), augment(x, x_len)
    torch.set_rng_state(state)
    assert torch.equal(augment(x, x_len), first)
    assert torch.equal(augment(x, x_len), second)
    assert not torch.equal(first, second)


def test_masks_are_within_width_number_and_true_length():
    x, x_len = batch([60, 30, 5, 0])
    time = SpecAugment(**{**OFF, "num_time_masks": 1}, time_mask_width=[3, 12], time_mask_share=None)
    freq = SpecAugment(**{**OFF, "num_freq_masks": 1}, freq_mask_width=[1, 4])
    widths, edges, bins = [set() for _ in range(4)], set(), set()
    for _ in range(300):
        y = time(x, x_len) == 0
        assert torch.equal(y.any(2), y.all(2))
        for i, n in enumerate(x_len.tolist()):
            masked = y[i, :, 0].nonzero().flatten()
            assert len(masked) == 0 or masked[-1] - masked[0] + 1 == len(masked)
            widths[i].add(len(masked))
            if i == 1 and 0 in masked:
                edges.add("start")
            if i == 1 and n - 1 in masked:
                edges.add("end")
        z = freq(x, x_len) == 0
        assert torch.equal(z[0].any(0), z[0].all(0)) and not z[1, 30:].any()
        bins.add(int(z[0, 0].sum()))
    assert widths == [set(range(3, 13)), set(range(3, 13)), {3, 4, 5}, {0}]
    assert edges == {"start", "end"}
    assert bins == {1, 2, 3, 4}


def test_a_time_mask_covers_a_share_of_the_utterance_s_own_frames_at_most():
    x, x_len = batch([400, 100, 31, 4])
    conf = {**OFF, "num_time_masks": 1, "time_mask_width": [0, 40]}
    masks = {share: SpecAugment(**conf, time_mask_share=share) for share in (0.2, 0.05, None)}
    widths = {share: torch.zeros(4) for share in masks}
    for _ in range(300):
        for share, augment in masks.items():
            masked = (augment(x, x_len) == 0).all(2).sum(1).float()
            widths[share] = torch.maximum(widths[share], masked)
    assert widths[0.2].tolist() == [40, 20, 6, 0]
    assert widths[0.05].tolist() == [20, 5, 1, 0]
    assert widths[None].tolist() == [40, 40, 31, 4]
    assert SpecAugment().time_mask_share == 0.2  # on by default


def test_utterances_of_a_batch_get_different_masks():
    x, x_len = batch([60] * 8)
    y = SpecAugment(time_warp=0, freq_mask_width=[3, 5], time_mask_width=[4, 9])(x, x_len) == 0
    assert len({tuple(row.flatten().tolist()) for row in y}) == 8


def test_adaptive_masks_grow_with_the_utterance():
    x, x_len = batch([1000, 300, 20], size=4)
    conf = {"time_mask_width": [0, 100], "adaptive": True, "max_time_masks": 15}
    augment = SpecAugment(**OFF, **conf, adaptive_number_ratio=0.02, adaptive_size_ratio=0.01)
    most = torch.zeros(3)
    for _ in range(50):
        masked = (augment(x, x_len) == 0).all(2)
        most = torch.maximum(most, masked.sum(1).float())
    assert most[2] == 0  # 0.02 * 20 is no mask
    assert 5 < most[1] <= 6 * 3
    assert 40 < most[0] <= 15 * 10


@pytest.mark.parametrize("draws", [(0.0, 0.0), (0.5, 0.9), (0.99999, 0.99999), (0.3, 0.1)])
def test_time_warp_equals_bicubic_interpolation_of_both_sides(draws):
    x, x_len = batch([50, 37, 11, 10, 0], size=3)
    window = 5
    y = warp_time(x, x_len, window, torch.tensor([draws]).expand(5, 2))
    for i, n in enumerate(x_len.tolist()):
        if n <= 2 * window:
            assert torch.equal(y[i], x[i])
            continue
        center = window + int(draws[0] * (n - 2 * window))
        moved = center - window + 1 + int(draws[1] * 2 * window)
        image = x[i : i + 1, None, :n]
        sides = [
            interpolate(image[:, :, :center], (moved, 3), mode="bicubic", align_corners=False),
            interpolate(image[:, :, center:], (n - moved, 3), mode="bicubic", align_corners=False),
        ]
        torch.testing.assert_close(y[i, :n], torch.cat(sides, 2)[0, 0], atol=1e-5, rtol=1e-5)
        assert torch.equal(y[i, n:], x[i, n:])


def test_gradients_pass_where_nothing_is_masked():
    x, x_len = batch([40, 20])
    x.requires_grad_()
    y = SpecAugment(freq_mask_width=[1, 3], time_mask_width=[1, 8])(x, x_len)
    y.sum().backward()
    assert x.grad.isfinite().all()
    masked_bins = (y[0] == 0).all(0)
    assert masked_bins.any() and not x.grad[0][:, masked_bins].any() and x.grad[0][:, ~masked_bins].any()
    assert torch.equal(x.grad[1, 20:], torch.ones(20, 20))


@pytest.mark.parametrize(
    ("conf", "words"),
    [
        ({"freq_mask_width": [5, 2]}, "freq_mask_width is"),
        ({"time_mask_width": [3]}, "time_mask_width is"),
        ({"time_mask_share": 0.0}, "time_mask_share is 0.0, expected more than 0"),
        ({"num_time_masks": -1}, "num_time_masks is -1, expected 0 or more"),
    ],
)
def test_impossible_settings_are_refused(conf, words):
    with pytest.raises(ValueError, match=words):
        SpecAugment(**conf)
