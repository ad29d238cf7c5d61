"""Times and confidences of words: against forced alignment of the reference, and against whether the words are right.

    python benchmarks/word_times.py --ckpt result/asr/default --csv result/asr/default/data/test.csv

Prints one JSON line. The reference of a right word's times is torchaudio's forced alignment of the whole reference text
by the same model. ``ece`` is the calibration error of the confidence over all recognised words, as ``word_ece`` of a
test; ``raw_ece`` is without the calibration that the last validation has learnt.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the command line sets it
import numpy as np
import torch
from rapidfuzz.distance import Levenshtein
from torchaudio.functional import forced_align

import problems
from dataset.audio import read
from dataset.metadata import read_csv
from tasks.metrics.classification import calibration_error
from tasks.metrics.confidence import right_words


def aligned(task, wav: torch.Tensor, text: str) -> list[tuple[float, float]]:
    """The start and the end of each word of a text, in seconds; none if the recording is too short for it."""
    with torch.inference_mode():
        logits, lengths = task.model(wav=wav[None], wav_len=torch.tensor([len(wav)]))
    log_probs = logits[:, : int(lengths[0])].log_softmax(-1)
    tokens = task.encoder.encode(text)
    try:
        path, _ = forced_align(log_probs, torch.tensor([tokens], dtype=torch.int32), blank=0)
    except RuntimeError:
        return []
    frames = [(own, n) for n, own in enumerate(path[0].tolist()) if own]
    groups: list[list[int]] = []  # the frames of each token
    for place, (token, frame) in enumerate(frames):
        if place and frames[place - 1] == (token, frame - 1):
            groups[-1].append(frame)
        else:
            groups.append([frame])
    words: list[list[int]] = [[]]
    for token, group in zip(tokens, groups):
        if task.encoder.decode([token]).strip():
            words[-1] += group
        elif words[-1]:
            words.append([])
    return [(own[0] * task.frame_sec, (own[-1] + 1) * task.frame_sec) for own in words if own]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ckpt", required=True)
    parser.add_argument("--csv", required=True, type=Path)
    args = parser.parse_args()
    model = problems.load(args.ckpt, device="cpu", task={"decode.name": "greedy"})
    calibration, starts, ends, right, confidence, words = model.task.calibration, [], [], [], [], 0
    table = read_csv(args.csv, ("wav_path", "transcription"))
    model.task.calibration = None  # raw confidences, from which the calibrated ones follow
    for path, text in zip(table["wav_path"], table["transcription"]):
        wav = read(args.csv.parent / path)
        result, reference = model.predict(wav), text.split()
        recognised = [own.text for own in result.words]
        words += len(reference)
        right += right_words(text, recognised)
        confidence += [own.confidence for own in result.words]
        times = aligned(model.task, wav, text)
        if len(times) != len(reference):
            continue
        for block in Levenshtein.opcodes(recognised, reference):
            if block.tag != "equal":
                continue
            for own, (start, end) in zip(result.words[block.src_start : block.src_end], times[block.dest_start :]):
                starts.append(abs(own.start - start))
                ends.append(abs(own.end - end))
    is_right = [bool(own) for own in right]
    calibrated = confidence if calibration is None else calibration(confidence)
    print(
        json.dumps(
            {
                "benchmark": "word times",
                "recordings": len(table),
                "words": words,
                "recognised": len(is_right),
                "right": sum(is_right),
                "start_error_ms": round(1000 * float(np.mean(starts)), 2) if starts else None,
                "end_error_ms": round(1000 * float(np.mean(ends)), 2) if ends else None,
                "raw_ece": round(calibration_error(confidence, is_right), 4),
                "ece": round(calibration_error(list(calibrated), is_right), 4),
            }
        )
    )


if __name__ == "__main__":
    main()
