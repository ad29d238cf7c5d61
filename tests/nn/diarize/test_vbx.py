"""VBx equals a plain implementation that multiplies probabilities, and finds planted speakers."""

from __future__ import annotations

import numpy as np
import pytest

from nn.diarize.clustering import agglomerative, by_vbx
from nn.diarize.vbx import VBx, forward_backward, whitened

RNG = np.random.default_rng(0)


def plain_step(model, x, between, posterior, weights):
    """One iteration by the paper's equations 16 to 25, term by term, without logarithms in the chain."""
    times, speakers, scale = len(x), len(weights), model.fa / model.fb
    scaled = x * np.sqrt(between)
    likelihood, penalty = np.zeros((times, speakers)), 0.0
    for s in range(speakers):
        precision = np.diag(1 + scale * sum(posterior[t, s] for t in range(times)) * between)
        variance = np.linalg.inv(precision)
        mean = scale * variance @ sum(posterior[t, s] * scaled[t] for t in range(times))
        for t in range(times):
            expected = scaled[t] @ mean - 0.5 * np.trace(np.diag(between) @ (variance + np.outer(mean, mean)))
            normal = -0.5 * x[t] @ x[t] - 0.5 * x.shape[1] * np.log(2 * np.pi)
            likelihood[t, s] = np.exp(model.fa * (expected + normal))
        penalty += np.log(np.linalg.det(variance)) - np.trace(variance) - mean @ mean + x.shape[1]
    transition = model.loop_prob * np.eye(speakers) + (1 - model.loop_prob) * weights
    forward, backward = np.zeros((times, speakers)), np.ones((times, speakers))
    forward[0] = weights * likelihood[0]
    for t in range(1, times):
        forward[t] = forward[t - 1] @ transition * likelihood[t]
    for t in range(times - 2, -1, -1):
        backward[t] = transition @ (likelihood[t + 1] * backward[t + 1])
    evidence = forward[-1].sum()
    new = forward * backward / evidence
    entered = sum(
        (1 - model.loop_prob) * weights * forward[t - 1].sum() * likelihood[t] * backward[t] / evidence
        for t in range(1, times)
    )
    return new, (new[0] + entered) / (new[0] + entered).sum(), np.log(evidence) + 0.5 * model.fb * penalty


@pytest.mark.parametrize("loop_prob", [0.0, 0.9])
def test_steps_are_those_of_a_plain_implementation(loop_prob):
    model, x, between = VBx(fa=0.3, fb=5.0, loop_prob=loop_prob), RNG.standard_normal((12, 4)), RNG.random(4) * 3
    ours = theirs = RNG.dirichlet(np.ones(3), 12), RNG.dirichlet(np.ones(3))
    bounds = []
    for _ in range(4):
        *ours, bound = model.step(x, between, *ours)
        *theirs, expected = plain_step(model, x, between, *theirs)
        np.testing.assert_allclose(ours[0], theirs[0], atol=1e-10)
        np.testing.assert_allclose(ours[1], theirs[1], atol=1e-10)
        assert bound == pytest.approx(expected)
        bounds.append(bound)
    assert bounds == sorted(bounds)  # the lower bound never falls


def test_a_chain_that_never_moves_has_one_state():
    posterior, weights, _ = forward_backward(np.log(RNG.random((9, 3))), np.array([1.0, 0.0, 0.0]), 0.9)
    np.testing.assert_allclose(posterior, np.eye(3)[np.zeros(9, int)])
    assert weights.tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("speakers", [1, 2, 4])
def test_planted_speakers_are_found_from_too_many_clusters(speakers):
    centres = np.linalg.qr(RNG.standard_normal((64, 64)))[0][:speakers]
    truth = np.repeat(np.concatenate([np.arange(speakers)] * 3), 15)
    x = centres[truth] + 0.09 * RNG.standard_normal((len(truth), 64))
    first = agglomerative(x, 0.0, 4 * speakers)
    assert len(set(first)) == 4 * speakers
    labels = by_vbx(x, first, VBx())
    assert len(set(labels)) == speakers == len(set(zip(truth, labels)))


def test_whitened_embeddings_vary_by_the_identity_within_clusters():
    labels = np.repeat([0, 1], 500)
    x = 0.3 * RNG.standard_normal((1000, 4)) + labels[:, None] * np.array([3.0, 0, 0, 0])
    u, between = whitened(x, labels, 2)
    within = np.concatenate([u[labels == own] - u[labels == own].mean(axis=0) for own in (0, 1)])
    np.testing.assert_allclose(within.var(axis=0), [1, 1], atol=0.1)
    assert between[0] == pytest.approx(1.5**2 / 0.09, rel=0.1) and between[1] == pytest.approx(0, abs=0.1)


def test_one_embedding_and_one_cluster_stay_as_they_are():
    assert by_vbx(np.ones((1, 8)), np.array([0]), VBx()).tolist() == [0]
    assert by_vbx(np.ones((5, 8)), np.zeros(5, int), VBx()).tolist() == [0] * 5
