"""Cluster the voices of a recording when their number is not known."""

from __future__ import annotations

import numpy as np

from nn.diarize.vbx import VBx, whitened


def unit(x: np.ndarray) -> np.ndarray:
    """Vectors of length 1: (N, D)."""
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


def agglomerative(x: np.ndarray, threshold: float, number: int | None = None) -> np.ndarray:
    """The cluster of each embedding (N, D), int (N,): the two nearest are joined again and again.

    Clusters are as far apart as the cosine distance of their members on average.

    Args:
        threshold: the distance at which no more are joined, from 0 to 2.
        number: of clusters, if it is known; the threshold is then not used.
    """
    if len(x) < 2:
        return np.zeros(len(x), int)
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    x = unit(x.astype(np.float64))
    distances = np.clip(1 - x @ x.T, 0, None)
    np.fill_diagonal(distances, 0)
    tree = linkage(squareform(distances, checks=False), "average")
    labels = fcluster(tree, threshold, "distance") if number is None else fcluster(tree, number, "maxclust")
    return _renumbered(labels)


def spectral(x: np.ndarray, number: int | None = None, most: int = 8, keep: float = 0.2) -> np.ndarray:
    """The cluster of each embedding (N, D), int (N,), by the eigenvectors of their similarities.

    Park et al., "Auto-tuning spectral clustering for speaker diarization using normalized maximum eigengap", 2020,
    with a fixed share of neighbours.

    Args:
        number: of clusters; None: where the gap between eigenvalues is largest.
        most: clusters that are looked for.
        keep: the share of the nearest that count as neighbours, at least two.
    """
    if len(x) < 3:
        return agglomerative(x, 0.5, number)
    from sklearn.cluster import KMeans

    x = unit(x.astype(np.float64))
    similarity = x @ x.T
    neighbours = min(len(x), max(2, round(keep * len(x))))
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :neighbours]
    graph = np.zeros_like(similarity)
    np.put_along_axis(graph, nearest, 1.0, axis=1)
    graph = (graph + graph.T) / 2
    laplacian = np.diag(graph.sum(axis=1)) - graph
    values, vectors = np.linalg.eigh(laplacian)
    if number is None:
        gaps = np.diff(values[: min(most, len(x) - 1) + 1])
        number = int(np.argmax(gaps)) + 1
    number = min(number, len(x))
    if number == 1:
        return np.zeros(len(x), int)
    return _renumbered(KMeans(number, n_init=10, random_state=0).fit_predict(vectors[:, :number]))


def by_vbx(x: np.ndarray, first: np.ndarray, model: VBx, dimensions: int = 16) -> np.ndarray:
    """The cluster of each embedding (N, D), int (N,), in order of time, by VBx; see :mod:`nn.diarize.vbx`.

    Args:
        first: the first clustering, int (N,), in more clusters than speakers; the others lose their members.
        dimensions: of the embeddings that are kept.
    """
    if len(x) < 3 or first.max() == 0:
        return first
    posterior, _ = model(*whitened(unit(x.astype(np.float64)), first, dimensions), first)
    return _renumbered(posterior.argmax(axis=1))


def assigned(x: np.ndarray, centres: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """The nearest centre of each embedding, int (N,), so that two of one window have different ones if possible.

    Args:
        x: (N, D). centres: (C, D).
        windows: the window of each embedding, int (N,).
    """
    from scipy.optimize import linear_sum_assignment

    similarity, labels = unit(x) @ unit(centres).T, np.full(len(x), -1)
    for window in np.unique(windows):
        own = np.flatnonzero(windows == window)
        rows, columns = linear_sum_assignment(similarity[own], maximize=True)
        labels[own[rows]] = columns
        left = np.setdiff1d(np.arange(len(own)), rows)  # more speakers than centres
        labels[own[left]] = similarity[own[left]].argmax(axis=1)
    return labels


def _renumbered(labels: np.ndarray) -> np.ndarray:
    """The same clusters, numbered by their first member."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse.reshape(-1)]
