"""Windows cover a recording and are joined as their speakers go on; voices are clustered; speech is found."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from nn.diarize.clustering import agglomerative, assigned, spectral
from nn.diarize.speech import energy_activity
from nn.diarize.windows import join, mean, merge, smooth, spans, starts
from nn.losses.permutation import permutation_free_bce, permutation_free_powerset

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("total", "window", "hop"), [(1, 10, 5), (10, 10, 5), (11, 10, 5), (100, 30, 7), (100, 30, 30)]
)
def test_windows_cover_all_frames(total, window, hop):
    covered = np.zeros(total, int)
    firsts = starts(total, window, hop)
    for first in firsts:
        covered[first : first + window] += 1
    assert covered.min() >= 1 and (len(firsts) == 1 or firsts[-1] + window == total)


def test_windows_with_outputs_of_one_order_are_averaged():
    truth = RNG.random((95, 3))
    windows = [(first, truth[first : first + 20]) for first in starts(95, 20, 7)]
    np.testing.assert_allclose(mean(windows, 95), truth)
    first, second = np.zeros((4, 1)), np.ones((4, 1))
    assert mean([(0, first), (2, second)], 7)[:, 0].tolist() == [0, 0, 0.5, 0.5, 1, 1, 0]


def test_joined_windows_are_the_recording_whatever_the_order_of_their_speakers():
    truth = RNG.random((200, 3)) < 0.4
    windows = []
    for number, first in enumerate(starts(200, 60, 30)):
        order = list(itertools.permutations(range(3)))[number % 6]
        windows.append((first, truth[first : first + 60][:, order].astype(float)))
    activity = join(windows, 200) > 0.5
    assert any((activity[:, order] == truth).all() for order in itertools.permutations(range(3)))
    labels = [list(list(itertools.permutations(range(3)))[n % 6]) for n in range(len(windows))]
    boolean = [(first, activity > 0.5) for first, activity in windows]
    assert (merge(boolean, labels, 200, 3) == truth).all()


def test_a_cluster_that_few_windows_hear_gives_way():
    one, two = np.ones((10, 1), bool), np.ones((10, 1), bool)
    merged = merge([(0, one), (0, two), (0, one)], [[0], [1], [0]], 10, 2)
    assert merged[:, 0].all() and not merged[:, 1].any()


def test_median_and_spans():
    activity = np.array([0, 1, 0, 0, 1, 1, 1, 0, 1, 1, 0, 0], bool)[:, None]
    expected = np.array(
        [
            np.median(row) > 0.5
            for row in np.lib.stride_tricks.sliding_window_view(np.pad(activity[:, 0].astype(int), 1), 3)
        ]
    )
    assert (smooth(activity, 3)[:, 0] == expected).all()
    assert spans(activity[:, 0], 0.5) == [(0.5, 1.0), (2.0, 3.5), (4.0, 5.0)]
    assert spans(activity[:, 0], 0.5, min_silence=0.6, min_speech=1.0) == [(2.0, 5.0)]


@pytest.mark.parametrize("speakers", [1, 2, 4])
def test_voices_are_clustered_without_knowing_their_number(speakers):
    centres = np.eye(16)[:speakers]
    truth = np.repeat(np.arange(speakers), 20)
    x = centres[truth] + 0.1 * RNG.standard_normal((len(truth), 16))
    for labels in (agglomerative(x, 0.5), agglomerative(x, 0.5, speakers), spectral(x, speakers)):
        assert len(set(zip(truth, labels))) == speakers == len(set(labels))
    if speakers > 1:
        assert len(set(zip(truth, spectral(x)))) == speakers


def test_two_voices_of_one_window_have_two_clusters():
    centres = np.eye(4)[:2]
    x = np.array([[1.0, 0.2, 0, 0], [0.9, 0.3, 0, 0], [0.1, 1.0, 0, 0]])
    assert assigned(x, centres, np.array([0, 0, 1])).tolist() == [0, 1, 1]


def test_speech_is_found_by_its_energy():
    wav = 0.001 * RNG.standard_normal(48000)
    wav[16000:32000] += 0.2 * np.sin(np.arange(16000) / 5)
    active = energy_activity(wav)
    assert active[110:190].all() and not active[:85].any() and not active[215:].any()
    short = np.zeros(800)
    short[640:] = 0.2
    assert energy_activity(short).all()  # its pauses are shorter than what is added around speech
    assert len(energy_activity(np.zeros(0))) == 0 and not energy_activity(np.zeros(16000)).any()


# ---- losses ----


def brute_force(logits, target, length):
    """Binary cross-entropy of every order, one frame and speaker at a time."""
    costs = []
    for order in itertools.permutations(range(target.shape[1])):
        terms = [
            torch.nn.functional.binary_cross_entropy_with_logits(logits[t, s], target[t, order[s]])
            for t in range(length)
            for s in range(target.shape[1])
        ]
        costs.append(torch.stack(terms).mean())
    return torch.stack(costs).min()


@pytest.mark.parametrize("speakers", [1, 2, 3, 5])
def test_the_loss_is_that_of_the_best_order(speakers):
    torch.manual_seed(0)
    logits, target = torch.randn(3, 7, speakers), (torch.rand(3, 7, speakers) < 0.4).float()
    lengths = torch.tensor([7, 4, 1])
    losses = permutation_free_bce(logits, target, lengths)
    expected = [brute_force(own, t, n) for own, t, n in zip(logits, target, lengths.tolist())]
    torch.testing.assert_close(losses, torch.stack(expected))
    shuffled = permutation_free_bce(logits, target[:, :, torch.randperm(speakers)], lengths)
    torch.testing.assert_close(losses, shuffled)


def test_the_powerset_loss_is_that_of_the_best_order():
    torch.manual_seed(0)
    classes = [(), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2)]
    numbers = torch.randint(0, 7, (4, 9))
    target = torch.zeros(4, 9, 3)
    for b, t in itertools.product(range(4), range(9)):
        target[b, t, list(classes[numbers[b, t]])] = 1.0
    logits, lengths = torch.randn(4, 9, 7), torch.tensor([9, 5, 2, 1])
    losses = permutation_free_powerset(logits, target, lengths, classes)
    for b, length in enumerate(lengths.tolist()):
        costs = []
        for order in itertools.permutations(range(3)):
            moved = [classes.index(tuple(sorted(order[s] for s in classes[n]))) for n in numbers[b, :length]]
            costs.append(torch.nn.functional.cross_entropy(logits[b, :length], torch.tensor(moved)))
        torch.testing.assert_close(losses[b], torch.stack(costs).min())
