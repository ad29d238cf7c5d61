"""VBx: the speakers of a sequence of embeddings by a Bayesian hidden Markov model.

Landini, Profant, Diez and Burget, "Bayesian HMM clustering of x-vector sequences (VBx) in speaker diarization",
Computer Speech and Language 71, 2022. A state is a speaker, whose mean has a Gaussian prior; an embedding varies around
the mean of its speaker. Speakers that explain nothing lose their weight, so that their number is found.

The paper takes both covariances from a PLDA model that is trained on thousands of speakers. No such model comes with an
embedding, so that they are estimated from the recording and its first clustering here (:func:`whitened`).

Notation: T embeddings in order of time, D dimensions, S speakers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

SHARPNESS = 5.0
"""The log odds of the first clustering against each other speaker, as in the authors' code."""


@dataclass
class VBx:
    """The settings of the model.

    Args:
        fa: scale of the evidence of embeddings, which are not independent of each other.
        fb: scale of the priors of speakers; the larger, the fewer speakers.
        loop_prob: probability of staying with a speaker from one embedding to the next.
        iterations: at most.
        epsilon: the improvement of the lower bound at which they end.
    """

    fa: float = 0.2
    fb: float = 20.0
    loop_prob: float = 0.9
    iterations: int = 40
    epsilon: float = 1e-4

    def __call__(self, x: np.ndarray, between: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The probability of each speaker at each time (T, S), and the weights of speakers (S,).

        Args:
            x: (T, D), with mean 0 and the identity as covariance within speakers.
            between: the variances of the speakers' means, (D,).
            labels: the first clustering, int (T,).
        """
        speakers = int(labels.max()) + 1
        odds = SHARPNESS * np.eye(speakers)[labels]
        posterior = np.exp(odds - logsumexp(odds, axis=1, keepdims=True))
        weights, bound = np.full(speakers, 1 / speakers), -np.inf
        for _ in range(self.iterations):
            posterior, weights, new_bound = self.step(x, between, posterior, weights)
            if new_bound - bound < self.epsilon:
                break
            bound = new_bound
        return posterior, weights

    def step(
        self, x: np.ndarray, between: np.ndarray, posterior: np.ndarray, weights: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, float]:
        """One iteration: new posteriors (T, S) and weights (S,), and the lower bound (equations 16 to 25)."""
        scale = self.fa / self.fb
        scaled = x * np.sqrt(between)
        variance = 1 / (1 + scale * posterior.sum(axis=0)[:, None] * between)
        mean = scale * variance * (posterior.T @ scaled)
        constant = -0.5 * ((x**2).sum(axis=1, keepdims=True) + x.shape[1] * np.log(2 * np.pi))
        log_likelihood = self.fa * (scaled @ mean.T - 0.5 * (variance + mean**2) @ between + constant)
        posterior, weights, evidence = forward_backward(log_likelihood, weights, self.loop_prob)
        bound = evidence + self.fb * 0.5 * float((np.log(variance) - variance - mean**2 + 1).sum())
        return posterior, weights, bound


def forward_backward(
    log_likelihood: np.ndarray, weights: np.ndarray, loop_prob: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """Posteriors (T, S), new weights (S,) and log evidence of a chain that stays, or draws a state by the weights."""
    with np.errstate(divide="ignore"):  # a weight or a probability may be 0
        log_weights, stay = np.log(weights), np.log(loop_prob)
    move = np.log1p(-loop_prob) + log_weights
    forward, backward = np.empty_like(log_likelihood), np.zeros_like(log_likelihood)
    forward[0] = log_weights + log_likelihood[0]
    for t in range(1, len(forward)):
        moved = logsumexp(forward[t - 1]) + move
        forward[t] = np.logaddexp(forward[t - 1] + stay, moved) + log_likelihood[t]
    for t in range(len(backward) - 2, -1, -1):
        later = backward[t + 1] + log_likelihood[t + 1]
        backward[t] = np.logaddexp(later + stay, logsumexp(later + move))
    evidence = float(logsumexp(forward[-1]))
    posterior = np.exp(forward + backward - evidence)
    entered = logsumexp(forward[:-1], axis=1, keepdims=True) + move + log_likelihood[1:] + backward[1:] - evidence
    weights = posterior[0] + np.exp(entered).sum(axis=0)
    return posterior, weights / weights.sum(), evidence


def whitened(x: np.ndarray, labels: np.ndarray, dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings in coordinates in which a speaker varies by the identity, and the variances between speakers.

    The coordinates are the principal components of the recording. The variance within speakers is taken to be the same
    in all of them, as a recording is too short to tell more; the rest of a component's variance is between speakers.

    Args:
        x: (T, D). labels: the first clustering, int (T,).
        dimensions: components that are kept.

    Returns:
        (T, d) and (d,), d at most ``dimensions``.
    """
    x = x - x.mean(axis=0)
    values, vectors = np.linalg.eigh(x.T @ x / len(x))
    x, values = x @ vectors[:, ::-1][:, :dimensions], values[::-1][:dimensions]
    centres = np.stack([x[labels == label].mean(axis=0) for label in range(labels.max() + 1)])
    within = max(float(((x - centres[labels]) ** 2).mean()), 1e-9)
    return x / np.sqrt(within), np.maximum(values / within - 1, 0.0)
