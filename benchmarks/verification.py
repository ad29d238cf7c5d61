"""Benchmark of a pretrained upstream in speaker verification: cosine scores of all pairs of utterances, and their EER.

    python benchmarks/verification.py DATA/librispeech_small              # ge2e, the ten speakers of test-other
    python benchmarks/verification.py DATA/librispeech_small --upstream wavlm_base_plus

The embedding of an utterance is the mean over the frames of the last hidden state. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import time
from pathlib import Path

import numpy as np
import torch

from dataset.audio import read
from nn.upstream import UPSTREAMS
from problems.engine.config.registry import build, resolve
from tasks.metrics.verification import TrialScores


def embeddings(upstream: torch.nn.Module, paths: list[Path]) -> tuple[np.ndarray, float]:
    """One unit vector an utterance (N, H), and the seconds of audio."""
    means, samples = [], 0
    for path in paths:
        wav = read(path)
        samples += len(wav)
        with torch.inference_mode():
            states, lengths = upstream(wav[None], torch.tensor([len(wav)]))
        means.append(states[-1][0, : int(lengths[-1])].mean(dim=0).numpy())
    x = np.stack(means)
    return x / np.linalg.norm(x, axis=1, keepdims=True), samples / 16000


def main() -> None:
    """Score every pair of a split and print the EER."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="a folder with metadata.csv: path, speaker, split")
    parser.add_argument("--split", default="test-other")
    parser.add_argument("--upstream", default="ge2e")
    options = parser.parse_args()
    with open(options.root / "metadata.csv", newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == options.split]
    upstream = build(resolve(options.upstream, UPSTREAMS, "--upstream"), {}, "upstream").eval()
    began = time.perf_counter()
    x, audio = embeddings(upstream, [options.root / row["path"] for row in rows])
    seconds = time.perf_counter() - began
    pairs = np.array(list(itertools.combinations(range(len(rows)), 2)))
    speakers = np.array([row["speaker"] for row in rows])
    scores = TrialScores((x[pairs[:, 0]] * x[pairs[:, 1]]).sum(axis=1), speakers[pairs[:, 0]] == speakers[pairs[:, 1]])
    figures = {
        "upstream": options.upstream,
        "utterances": len(rows),
        "speakers": len(set(speakers)),
        "trials": len(pairs),
        "eer_percent": round(100 * scores.eer, 3),
        "min_dcf_0.05": round(scores.min_dcf(0.05), 4),
        "audio_seconds": round(audio, 1),
        "seconds": round(seconds, 1),
        "threads": torch.get_num_threads(),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
