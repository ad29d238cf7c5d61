"""Benchmark of trial scoring: ten million trials over forty thousand embeddings, and their error rates.

    python benchmarks/scoring.py                          # 10 million trials, 40 000 embeddings of 256, cosine
    python benchmarks/scoring.py --cohort 1000            # with AS-norm by the nearest 300 of 1000 speakers
    python benchmarks/scoring.py --trials 1000000 --embeddings 5000 --size 512

Embeddings are random, 8 utterances a speaker; one trial in ten is a target trial. Prints one JSON line: the seconds of
each part, and the peak memory of the process before the scoring and at the end.
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
    """The peak memory of this process so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def make(trials: int, embeddings: int, size: int) -> tuple[list[str], np.ndarray, Trials]:
    """Ids, embeddings, and trials, of which every tenth is a target trial."""
    draw = np.random.default_rng(0)
    speakers = np.arange(embeddings) // 8
    x = draw.standard_normal((speakers[-1] + 1, size), dtype=np.float32)[speakers]
    x += 4 * draw.standard_normal((embeddings, size), dtype=np.float32)
    enrol, test = draw.integers(0, embeddings, (2, trials))
    targets = np.arange(0, trials, 10)
    test[targets] = np.minimum(enrol[targets] // 8 * 8 + draw.integers(0, 8, len(targets)), embeddings - 1)
    ids = [f"utterance-{n}" for n in range(embeddings)]
    is_target = speakers[enrol] == speakers[test]
    return ids, x, Trials(enrolments=ids, tests=ids, enrol=enrol, test=test, targets=is_target)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000_000)
    parser.add_argument("--embeddings", type=int, default=40_000)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--cohort", type=int, default=0, help="speakers that normalise the scores; 0: none")
    options = parser.parse_args()
    ids, x, trials = make(options.trials, options.embeddings, options.size)
    scorer = Scorer(as_norm=300 if options.cohort else None)
    figures: dict[str, Any] = {**vars(options), "threads": os.cpu_count(), "gb_before": round(memory_gb(), 2)}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        result = work()
        figures[f"{name}_seconds"] = round(time.perf_counter() - began, 2)
        return result

    if options.cohort:
        cohort = np.random.default_rng(1).standard_normal((options.cohort, options.size), dtype=np.float32)
        scorer.learn(cohort, [str(n) for n in range(options.cohort)])
    scores = timed("score", lambda: scorer.score(ids, x, trials))
    trial_scores = timed("sort", lambda: TrialScores(scores, trials.targets))
    figures["eer"] = round(timed("eer", lambda: trial_scores.eer), 6)
    figures["min_dcf_0.01"] = round(timed("min_dcf", lambda: trial_scores.min_dcf(0.01)), 6)
    timed("det", trial_scores.det_curve)
    timed("calibration", lambda: learn_calibration(scores[:100_000], trials.targets[:100_000]))
    figures["gb"] = round(memory_gb(), 2)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
