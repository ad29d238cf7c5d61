"""Probabilistic linear discriminant analysis, as the two-covariance model.

An embedding is m + y + e with y ~ N(0, B) for the speaker and e ~ N(0, W) for the utterance; a score is the log
likelihood ratio of one speaker against two. Sizov, Lee and Kinnunen, "Unifying probabilistic linear discriminant
analysis variants in biometric authentication", S+SSPR 2014; EM as in Bruemmer and de Villiers, "The speaker
partitioning problem", Odyssey 2010. Written by hand, since scikit-learn has no PLDA.

Notation: N utterances, S speakers, D dimensions. All computations use coordinates in which W is the identity and B
diagonal, so that an iteration costs one product of (D, N) with (N, D).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

ITERATIONS = 10
RIDGE = 1e-6  # of the mean variance, added within speakers: fewer utterances than dimensions make it singular


@dataclass(frozen=True)
class PLDA:
    """mean (D,); projection (D, D), which makes W the identity and B diagonal; between (D,), that diagonal."""

    mean: np.ndarray
    projection: np.ndarray
    between: np.ndarray

    @classmethod
    def fit(cls, x: np.ndarray, speakers: np.ndarray, iterations: int = ITERATIONS) -> PLDA:
        """Learn the model from embeddings.

        Args:
            x: float (N, D). speakers: int (N,), numbers from 0.
            iterations: of expectation maximisation, which starts from the scatter matrices.

        Raises:
            ValueError: fewer than two speakers, or none with two utterances.
        """
        x, counts = np.asarray(x, dtype=np.float64), np.bincount(speakers)
        if (counts > 0).sum() < 2 or counts.max() < 2:
            raise ValueError(
                f"PLDA cannot be learnt from {len(x)} utterances of {(counts > 0).sum()} speakers: expected at least"
                " two speakers, one of them with several utterances"
            )
        speakers = np.unique(speakers, return_inverse=True)[1]
        counts = np.bincount(speakers).astype(np.float64)
        mean = x.mean(axis=0)
        x = x - mean
        centres = _sums(x, speakers) / counts[:, None]
        residuals = x - centres[speakers]
        projection, between = _diagonalised(centres.T @ centres / len(counts), residuals.T @ residuals / len(x))
        for _ in range(iterations):
            projection, between = _step(x, speakers, counts, projection=projection, between=between)
        return cls(mean, projection, between)

    def sides(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Two sets of vectors (N, D + 2) for embeddings (N, D), of the first and the second side of a trial.

        The dot product of a vector of each is the log likelihood ratio of the pair.
        """
        u, b = (x - self.mean) @ self.projection, self.between
        cross_weights, square_weights = b / (1 + 2 * b), -0.5 * b**2 / ((1 + b) * (1 + 2 * b))
        constant = float((np.log1p(b) - 0.5 * np.log1p(2 * b)).sum())
        squares, ones = (u**2 @ square_weights)[:, None], np.ones((len(u), 1))
        return np.hstack([u * cross_weights, squares + constant, ones]), np.hstack([u, ones, squares])


def _sums(x: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    """The sum of the rows of each speaker: (N, D) -> (S, D)."""
    order = np.argsort(speakers, kind="stable")
    return np.add.reduceat(x[order], np.searchsorted(speakers[order], np.arange(speakers.max() + 1)), axis=0)


def _diagonalised(between: np.ndarray, within: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The projection (D, D) that makes ``within`` the identity and ``between`` diagonal, and that diagonal (D,)."""
    ridge = RIDGE * max(np.trace(within), np.trace(between)) / len(within)
    values, vectors = eigh(between, within + (ridge or 1.0) * np.eye(len(within)))
    return vectors, np.maximum(values, 0.0)


def _step(
    x: np.ndarray, speakers: np.ndarray, counts: np.ndarray, *, projection: np.ndarray, between: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """One iteration: the posterior of y for each speaker, then the most likely covariances given these."""
    u = x @ projection
    variance = between / (1 + counts[:, None] * between)  # (S, D), of the posteriors
    y = variance * _sums(u, speakers)
    new_between = (y.T @ y + np.diag(variance.sum(axis=0))) / len(counts)
    residuals = u - y[speakers]
    new_within = (residuals.T @ residuals + np.diag((counts[:, None] * variance).sum(axis=0))) / len(u)
    rotation, values = _diagonalised(new_between, new_within)
    return projection @ rotation, values
