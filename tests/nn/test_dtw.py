"""Subsequence DTW equals a plain loop, for any batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nn.dtw import DISTANCES, distances, subsequence_dtw


def plain(cost: np.ndarray) -> tuple[float, int, int]:
    """One pair, cell by cell: cost (N, T)."""
    frames, length = cost.shape
    total, first = np.full(cost.shape, np.inf), np.zeros(cost.shape, int)
    total[0], first[0] = cost[0], np.arange(length)
    for i in range(1, frames):
        for j in range(length):
            for move in range(min(3, j + 1)):
                if total[i - 1, j - move] + cost[i, j] < total[i, j]:
                    total[i, j] = total[i - 1, j - move] + cost[i, j]
                    first[i, j] = first[i - 1, j - move]
    end = int(total[-1].argmin())
    return total[-1, end] / frames, first[-1, end], end


@pytest.mark.parametrize("kind", DISTANCES)
def test_a_batch_is_as_pairs_one_by_one_in_a_plain_loop(kind):
    torch.manual_seed(0)
    queries, documents = torch.randn(3, 9, 5), torch.randn(4, 40, 5)
    query_len, document_len = torch.tensor([9, 4, 1]), torch.tensor([40, 12, 9, 1])
    cost = distances(queries, documents, kind)
    aligned = subsequence_dtw(cost, query_len, document_len)
    for q, n in enumerate(query_len.tolist()):
        for b, t in enumerate(document_len.tolist()):
            alone = distances(queries[q : q + 1, :n], documents[b : b + 1, :t], kind)[0, 0].double().numpy()
            mean, first, last = plain(alone)
            assert float(aligned[0][q, b]) == pytest.approx(mean, abs=1e-5)
            assert (int(aligned[1][q, b]), int(aligned[2][q, b])) == (first, last)


def test_a_query_is_found_where_it_is():
    torch.manual_seed(0)
    query, document = torch.randn(1, 12, 8), torch.randn(1, 80, 8)
    document[0, 30:42] = query[0]
    mean, first, last = subsequence_dtw(distances(query, document), torch.tensor([12]), torch.tensor([80]))
    assert float(mean) == pytest.approx(0, abs=1e-6) and (int(first), int(last)) == (30, 41)


def test_distances_are_scipys():
    scipy_distance = pytest.importorskip("scipy.spatial.distance")
    torch.manual_seed(0)
    queries, documents = torch.randn(1, 6, 5, dtype=torch.float64), torch.randn(1, 7, 5, dtype=torch.float64)
    cosine = scipy_distance.cdist(queries[0], documents[0], "cosine")
    expected = {
        "cosine": cosine,
        "cosine_exp": np.exp(cosine) - 1,
        "cosine_log": -np.log(1 - cosine / 2),
        "euclidean": scipy_distance.cdist(queries[0], documents[0]),
    }
    for kind, values in expected.items():
        assert distances(queries, documents, kind)[0, 0].numpy() == pytest.approx(values, abs=1e-9)
    with pytest.raises(ValueError, match="expected one of cosine"):
        distances(queries, documents, "cosin")
