"""Probabilistic linear discriminant analysis, as the two-covariance model.

An embedding is m + y + e with a speaker's y ~ N(0, B) and an utterance's e ~ N(0, W); a score is the log likelihood
ratio of one speaker against two. Sizov, Lee and Kinnunen, "Unifying probabilistic linear discriminant analysis
variants in biometric authentication", S+SSPR 2014; EM as in Bruemmer and de Villiers, "The speaker partitioning
problem", Odyssey 2010. No kept library has it: scikit-learn has no PLDA, and the packages that do are scripts.

Notation: N utterances, S speakers, D dimensions. Everything is done where W is the identity and B diagonal, so that
an iteration costs one product of (D, N) with (N, D).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

ITERATIONS = 10
RIDGE = 1e-6  # of the mean variance, added within speakers: fewer utterances than dimensions leave no volume


@dataclass(frozen=True)
class PLDA:
    """mean (D,); projection (D, D), after which W is the identity and B diagonal; between (D,), that diagonal."""

    mean: np.ndarray
    projection: np.ndarray
    between: np.ndarray

    @classmethod
    def fit(cls, x: np.ndarray, speakers: np.ndarray, iterations: int = ITERATIONS) -> PLDA:
        """Learn the model from embeddings.

        Args:
            x: float (N, D). speakers: int (N,) from 0, each of S numbers.
            iterations: of expectation maximisation, after a start from the scatter matrices.

        Raises:
            ValueError: fewer than two speakers, or none with two utterances.
        """
        x, counts = np.asarray(x, dtype=np.float64), np.bincount(speakers)
        if (counts > 0).sum() < 2 or counts.max() < 2:
            raise ValueError(
                f"PLDA cannot be learnt from {len(x)} utterances of {(counts > 0).sum()} speakers: expected at least "
                "two speakers, some with several utterances"
            )
        speakers = np.unique(speakers, return_inverse=True)[1]
        counts = np.bincount(speakers).astype(np.float64)
        mean = x.mean(axis=0)
        x = x - mean
        centres = _sums(x, speakers) / counts[:, None]
        rest = x - centres[speakers]
        projection, between = _diagonalised(centres.T @ centres / len(counts), rest.T @ rest / len(x))
        for _ in range(iterations):
            projection, between = _step(x, speakers, counts, projection, between)
        return cls(mean, projection, between)

    def sides(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Embeddings (N, D) as two sets of vectors (N, D + 2): the dot product of one from the first with one from the
        second is the log likelihood ratio of the pair."""
        u, b = (x - self.mean) @ self.projection, self.between
        cross, own = b / (1 + 2 * b), -0.5 * b**2 / ((1 + b) * (1 + 2 * b))
        constant = float((np.log1p(b) - 0.5 * np.log1p(2 * b)).sum())
        alone, one = (u**2 @ own)[:, None], np.ones((len(u), 1))
        return np.hstack([u * cross, alone + constant, one]), np.hstack([u, one, alone])

    def log_likelihood(self, x: np.ndarray, speakers: np.ndarray) -> float:
        """The log density of embeddings (N, D) of speakers (N,), up to the constant of the Gaussian."""
        speakers = np.unique(speakers, return_inverse=True)[1]
        u, counts = (x - self.mean) @ self.projection, np.bincount(speakers)[:, None]
        sums = _sums(u, speakers)
        shrunk = self.between / (1 + counts * self.between)
        volume = len(x) * np.linalg.slogdet(self.projection)[1] - 0.5 * np.log1p(counts * self.between).sum()
        return float(volume - 0.5 * ((u**2).sum() - (shrunk * sums**2).sum()))


def _sums(x: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    """The sum of the rows of each speaker: (N, D) -> (S, D)."""
    order = np.argsort(speakers, kind="stable")
    return np.add.reduceat(x[order], np.searchsorted(speakers[order], np.arange(speakers.max() + 1)), axis=0)


def _diagonalised(between: np.ndarray, within: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vectors (D, D) in whose coordinates ``within`` is the identity and ``between`` diagonal, and that diagonal."""
    ridge = RIDGE * max(np.trace(within), np.trace(between)) / len(within)
    values, vectors = eigh(between, within + (ridge or 1.0) * np.eye(len(within)))
    return vectors, np.maximum(values, 0.0)


def _step(
    x: np.ndarray, speakers: np.ndarray, counts: np.ndarray, projection: np.ndarray, between: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """One iteration: the posterior of each speaker's y, then the covariances that they make most likely."""
    u = x @ projection
    variance = between / (1 + counts[:, None] * between)  # (S, D), of the posteriors
    y = variance * _sums(u, speakers)
    new_between = (y.T @ y + np.diag(variance.sum(axis=0))) / len(counts)
    rest = u - y[speakers]
    new_within = (rest.T @ rest + np.diag((counts[:, None] * variance).sum(axis=0))) / len(u)
    turned, values = _diagonalised(new_between, new_within)
    return projection @ turned, values
