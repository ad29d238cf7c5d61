"""Dynamic time warping of many pairs against a loop over pairs and cells.

    python benchmarks/search.py [--queries 8] [--documents 512]

Queries of 50 frames, documents of 500, 768 features. Prints one JSON line: pairs a second of each, distances included,
and the hours that SUPERB's 336 000 pairs take with 13 layers. The plain loop computes its distances by numpy, and is
compiled by no one; ``dtw-python`` is used if it is installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import time

import numpy as np
import torch

from nn.dtw import distances, subsequence_dtw

FRAMES, LENGTH, FEATURES = 50, 500, 768
PAIRS, LAYERS = 336_000, 13


def plain(query: np.ndarray, document: np.ndarray) -> float:
    """One pair, cell by cell."""
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (query, document)]
    cost = 1 - unit[0] @ unit[1].T
    total = np.full(cost.shape, np.inf)
    total[0] = cost[0]
    for i in range(1, len(query)):
        for j in range(len(document)):
            total[i, j] = cost[i, j] + min(total[i - 1, max(0, j - 2) : j + 1])
    return float(total[-1].min()) / len(query)


def by_library(query: np.ndarray, document: np.ndarray) -> float:
    """One pair by dtw-python."""
    from dtw import asymmetric, dtw

    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (query, document)]
    cost = (1 - unit[0] @ unit[1].T).astype(np.float64)
    options = {"step_pattern": asymmetric, "open_begin": True, "open_end": True, "distance_only": True}
    return float(dtw(cost, **options).normalizedDistance)


def main() -> None:
    """Time all three."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=8)
    parser.add_argument("--documents", type=int, default=512)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    torch.manual_seed(0)
    queries = torch.randn(options.queries, FRAMES, FEATURES, device=options.device)
    documents = torch.randn(options.documents, LENGTH, FEATURES, device=options.device)
    query_len = torch.full((options.queries,), FRAMES, device=options.device)
    document_len = torch.full((options.documents,), LENGTH, device=options.device)

    def batched() -> torch.Tensor:
        return subsequence_dtw(distances(queries, documents), query_len, document_len)[0].cpu()

    batched()
    began = time.perf_counter()
    costs = batched()
    speed = options.queries * options.documents / (time.perf_counter() - began)
    result = {"work": "search", "pairs_per_s": round(speed), "superb_hours": round(PAIRS * LAYERS / speed / 3600, 2)}
    pairs = [(queries[0].cpu().numpy(), documents[number].cpu().numpy()) for number in range(5)]
    others = {"plain": plain} | ({"dtw_python": by_library} if importlib.util.find_spec("dtw") else {})
    for name, function in others.items():
        began = time.perf_counter()
        values = [function(*pair) for pair in pairs]
        result[f"{name}_pairs_per_s"] = round(len(pairs) / (time.perf_counter() - began), 2)
        result[f"{name}_difference"] = float(np.abs(np.array(values) - costs[0, :5].numpy()).max())
    print(json.dumps(result | {"device": options.device, "threads": torch.get_num_threads()}))


if __name__ == "__main__":
    main()
