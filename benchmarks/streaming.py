"""A model on recordings in chunks, beside whole recordings: equality, real-time factor, latency.

    python benchmarks/streaming.py --problem asr --ckpt result/asr/streaming AUDIO_FOLDER

Prints one JSON line. ``same`` counts the recordings whose final result is that of the whole recording, which sd and sed
take in one window here. ``compute_ms`` is the time that a chunk takes. ``word_latency_sec`` is the audio that comes
between the end of a word, as the whole recording gives it, and the first partial result in which it stands and can no
longer change; the last word of a recording waits for its end and is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import time

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the command line sets it
import numpy as np

import problems
from dataset import SAMPLE_RATE
from problems.engine.inference.recordings import LONG, recordings
from tasks.results import Result, Segment

ONE_WINDOW_SEC = 3600.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", default="asr")
    parser.add_argument("--ckpt", required=True)
    parser.add_argument("--chunk_ms", type=int, default=100)
    parser.add_argument("--files", type=int, default=50)
    parser.add_argument("folder")
    args = parser.parse_args()
    task = {"window": ONE_WINDOW_SEC, "hop": ONE_WINDOW_SEC} if args.problem in ("sd", "sed") else None
    model = problems.load(args.ckpt, problem=problems.get(args.problem), device="cpu", task=task)
    stream, size = model.stream(), args.chunk_ms * SAMPLE_RATE // 1000
    opened = (own.open() for own in recordings(args.folder))
    waves = [own.samples for own in opened if own.seconds <= min(LONG, 30)][: args.files]
    whole_sec, seconds, latencies, same = 0.0, [], [], 0
    for wave in waves:
        began = time.perf_counter()
        whole = model.predict(wave)
        whole_sec += time.perf_counter() - began
        settled: list[float] = []  # for each word, the audio that had come when it could no longer change
        for place in range(0, len(wave), size):
            began = time.perf_counter()
            partial = stream.push(wave[place : place + size])
            seconds.append(time.perf_counter() - began)
            settled += [partial.seconds] * (len(words_of(partial)) - 1 - len(settled))
        began = time.perf_counter()
        final = stream.finish()
        seconds.append(time.perf_counter() - began)
        same += str(final) == str(whole)
        latencies += [come - word.end for come, word in zip(settled, words_of(whole))]
    audio_sec = sum(map(len, waves)) / SAMPLE_RATE
    print(
        json.dumps(
            {
                "benchmark": "streaming",
                "recordings": len(waves),
                "audio_sec": round(audio_sec, 1),
                "chunk_ms": args.chunk_ms,
                "same": same,
                "real_time_factor": round(sum(seconds) / audio_sec, 4),
                "whole_real_time_factor": round(whole_sec / audio_sec, 4),
                "compute_ms": percentiles(1000 * np.array(seconds)),
                "words": len(latencies),
                "word_latency_sec": percentiles(np.array(latencies)),
            }
        )
    )


def words_of(result: Result) -> list[Segment]:
    """The words or phones of a result."""
    return getattr(result, "words", None) or getattr(result, "phones", [])


def percentiles(values: np.ndarray) -> dict[str, float]:
    """The median, and what 95 % of the values do not exceed."""
    return {f"p{share}": round(float(np.percentile(values, share)), 3) for share in (50, 95)} if len(values) else {}


if __name__ == "__main__":
    main()
