"""PLDA equals the joint Gaussians of its model, and expectation maximisation finds them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from tasks.verification.plda import PLDA

B = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.3], [0.0, 0.3, 0.5]])
W = np.array([[0.5, 0.1, 0.0], [0.1, 0.8, -0.2], [0.0, -0.2, 0.4]])


def speech(speakers: int, utterances: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings of the two-covariance model with mean 1, and their speakers; numbers of utterances vary."""
    draw = np.random.default_rng(seed)
    counts = draw.integers(1, 2 * utterances, speakers)
    labels = np.repeat(np.arange(speakers), counts)
    y = draw.multivariate_normal(np.ones(3), B, speakers)
    return y[labels] + draw.multivariate_normal(np.zeros(3), W, len(labels)), labels


def test_plda_scores_are_the_likelihood_ratio_of_the_two_joint_gaussians():
    x, labels = speech(200, 4)
    model = PLDA.fit(x, labels, iterations=5)
    back = np.linalg.inv(model.projection)
    within, between = back.T @ back, back.T @ np.diag(model.between) @ back
    np.testing.assert_allclose(model.projection.T @ within @ model.projection, np.eye(3), atol=1e-9)
    total = within + between
    same = np.block([[total, between], [between, total]])
    left, right = model.sides(x[:20])
    for i, j in [(0, 1), (3, 3), (5, 19), (12, 2)]:
        pair = np.concatenate([x[i], x[j]])
        expected = multivariate_normal(np.tile(model.mean, 2), same).logpdf(pair)
        expected -= sum(multivariate_normal(model.mean, total).logpdf(x[k]) for k in (i, j))
        assert left[i] @ right[j] == pytest.approx(expected)


def test_plda_finds_the_covariances_that_made_the_embeddings():
    x, labels = speech(3000, 4)
    model = PLDA.fit(x, labels)
    back = np.linalg.inv(model.projection)
    np.testing.assert_allclose(back.T @ back, W, atol=0.05)
    np.testing.assert_allclose(back.T @ np.diag(model.between) @ back, B, atol=0.15)


def joint_log_likelihood(model: PLDA, x: np.ndarray, labels: np.ndarray) -> float:
    """The log density of the utterances of each speaker under their joint Gaussian."""
    back, total = np.linalg.inv(model.projection), 0.0
    within, between = back.T @ back, back.T @ np.diag(model.between) @ back
    for speaker in sorted(set(labels)):
        utterances = x[labels == speaker]
        count = len(utterances)
        joint = np.kron(np.eye(count), within) + np.kron(np.ones((count, count)), between)
        total += multivariate_normal(np.tile(model.mean, count), joint).logpdf(utterances.ravel())
    return total


def test_each_iteration_makes_the_embeddings_more_likely():
    x, labels = speech(12, 2, seed=5)
    values = [joint_log_likelihood(PLDA.fit(x, labels, iterations=n), x, labels) for n in range(6)]
    assert all(b >= a - 1e-6 for a, b in zip(values, values[1:])) and values[-1] > values[0]


def test_plda_of_fewer_utterances_than_dimensions_is_finite():
    draw = np.random.default_rng(1)
    x, labels = draw.standard_normal((6, 20)), np.array([0, 0, 1, 1, 2, 2])
    left, right = PLDA.fit(x, labels).sides(x)
    assert np.isfinite(left @ right.T).all()


@pytest.mark.parametrize("speakers", [[0, 0, 0], [0, 1, 2]])
def test_plda_needs_two_speakers_and_two_utterances_of_one(speakers):
    x = np.random.default_rng(0).standard_normal((3, 2))
    with pytest.raises(ValueError, match="at least two speakers, one of them with several utterances"):
        PLDA.fit(x, np.array(speakers))
    assert PLDA.fit(x, np.array([0, 0, 1]))
