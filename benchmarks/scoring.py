"""Ten million trials over forty thousand embeddings: scored, normalised, and their error rates.

    python benchmarks/scoring.py                          # 10 million trials, 40 000 embeddings of 256, cosine
    python benchmarks/scoring.py --cohort 1000            # with AS-norm by the 300 nearest of 1000 speakers
    python benchmarks/scoring.py --trials 1000000 --embeddings 5000 --size 512

Embeddings are random, of 8 utterances a speaker; one trial in ten is of one speaker. Prints one JSON line: the seconds
of each part, and the largest memory that the process took, with what it took before the scoring began.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tasks.metrics.verification import TrialScores, learn_calibration
from tasks.verification.scoring import Scorer
from tasks.verification.trials import Trials


def memory_gb() -> float:
    """The largest memory that this process took so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def make(trials: int, embeddings: int, size: int) -> tuple[list[str], np.ndarray, Trials]:
    """Ids, embeddings, and trials of which every tenth is of one speaker."""
    draw = np.random.default_rng(0)
    speakers = np.arange(embeddings) // 8
    x = draw.standard_normal((speakers[-1] + 1, size), dtype=np.float32)[speakers]
    x += 4 * draw.standard_normal((embeddings, size), dtype=np.float32)
    enrol, test = draw.integers(0, embeddings, (2, trials))
    own = np.arange(0, trials, 10)
    test[own] = np.minimum(enrol[own] // 8 * 8 + draw.integers(0, 8, len(own)), embeddings - 1)
    ids = [f"utterance-{n}" for n in range(embeddings)]
    return ids, x, Trials(ids, ids, enrol, test, speakers[enrol] == speakers[test])


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000_000)
    parser.add_argument("--embeddings", type=int, default=40_000)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--cohort", type=int, default=0, help="speakers that normalise the scores; 0: none")
    given = parser.parse_args()
    ids, x, trials = make(given.trials, given.embeddings, given.size)
    scorer = Scorer(as_norm=300 if given.cohort else None)
    found: dict[str, Any] = {**vars(given), "threads": os.cpu_count(), "gb_before": round(memory_gb(), 2)}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        result = work()
        found[f"{name}_seconds"] = round(time.perf_counter() - began, 2)
        return result

    if given.cohort:
        cohort = np.random.default_rng(1).standard_normal((given.cohort, given.size), dtype=np.float32)
        scorer.learn(cohort, [str(n) for n in range(given.cohort)])
    scores = timed("score", lambda: scorer.score(ids, x, trials))
    sides = timed("sort", lambda: TrialScores(scores, trials.targets))
    found["eer"] = round(timed("eer", lambda: sides.eer), 6)
    found["min_dcf_0.01"] = round(timed("min_dcf", lambda: sides.min_dcf(0.01)), 6)
    timed("det", sides.det_curve)
    timed("calibration", lambda: learn_calibration(scores[:100_000], trials.targets[:100_000]))
    found["gb"] = round(memory_gb(), 2)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
