"""Times and confidences of words: against forced alignment of the reference, and against whether the words are right.

    python benchmarks/word_times.py --ckpt result/asr/default --csv result/asr/default/data/test.csv
    python benchmarks/word_times.py --ckpt result/asr/fsdd --csv result/asr/fsdd/data/test.csv --joined

Prints one JSON line. The reference of a right word's times is torchaudio's forced alignment of the whole reference text
by the same model. With ``--joined`` it is also the place of each word (``true_start_error_ms``), if the recordings are
words that were joined with digital silence between them, as those of the corpus connected_digits. A positive bias is
too late. ``ece`` is the calibration error of the confidence over all recognised words, as ``word_ece`` of a test;
``raw_ece`` is without the calibration that the last validation has learnt.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the command line sets it
import numpy as np
import soundfile
import torch
from rapidfuzz.distance import Levenshtein
from torchaudio.functional import forced_align

import problems
from dataset.audio import read
from dataset.metadata import read_csv
from nn.diarize.windows import runs
from tasks.metrics.classification import calibration_error
from tasks.metrics.confidence import right_words
from tasks.results import Segment
from tasks.word_confidence import WordConfidence

Times = tuple[float, float]
"""The start and the end of a word, in seconds."""
LEAST_GAP_SEC = 0.029
"""Of the silence between two words that were joined."""


def aligned(task, wav: torch.Tensor, text: str) -> list[Times]:
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


def between_silences(path: Path, count: int) -> list[Times]:
    """The start and the end of each of ``count`` words, in seconds; none if there are not as many sounds."""
    samples, rate = soundfile.read(path, dtype="int16")
    silent = [(first, last) for first, last in runs(samples == 0) if (last - first) >= LEAST_GAP_SEC * rate]
    starts, ends = [0, *(last for _, last in silent)], [*(first for first, _ in silent), len(samples)]
    return [(a / rate, b / rate) for a, b in zip(starts, ends)] if len(starts) == count else []


def errors_of(words: Sequence[Segment], reference: Sequence[str], times: Sequence[Times]) -> dict[str, list[float]]:
    """The errors of the starts and ends of the right words, in seconds; positive: too late.

    Args:
        times: of each word of the reference.
    """
    blocks = Levenshtein.opcodes([own.text for own in words], reference).as_matching_blocks()
    pairs = [(words[a + place], times[b + place]) for a, b, size in blocks for place in range(size)]
    return {
        "start": [own.start - start for own, (start, _) in pairs],
        "end": [own.end - end for own, (_, end) in pairs],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ckpt", required=True)
    parser.add_argument("--csv", required=True, type=Path)
    parser.add_argument("--joined", action="store_true", help="the words were joined with digital silence between them")
    args = parser.parse_args()
    model = problems.load(args.ckpt, device="cpu", task={"decode.name": "greedy"})
    right, confidence, calibrated, words = [], [], [], 0
    errors: dict[str, list[float]] = defaultdict(list)
    table = read_csv(args.csv, ("wav_path", "transcription"))
    calibration, model.task.confidence = model.task.confidence, WordConfidence()  # raw confidences
    for path, text in zip(table["wav_path"], table["transcription"]):
        wav = read(args.csv.parent / path)
        result, reference = model.predict(wav), text.split()
        recognised = [own.text for own in result.words]
        words += len(reference)
        right += right_words(text, recognised)
        confidence += [own.confidence for own in result.words]
        calibrated += [calibration.of(own.confidence, is_search=False) for own in result.words]
        references = {"": aligned(model.task, wav, text)}
        if args.joined:
            references["true_"] = between_silences(args.csv.parent / path, len(reference))
        for name, times in references.items():
            if len(times) == len(reference):
                for edge, seconds in errors_of(result.words, reference, times).items():
                    errors[f"{name}{edge}"] += seconds
    is_right = [bool(own) for own in right]
    print(
        json.dumps(
            {
                "benchmark": "word times",
                "recordings": len(table),
                "words": words,
                "recognised": len(is_right),
                "right": sum(is_right),
                "timed": {name: len(own) for name, own in errors.items() if name.endswith("start")},
                **{f"{name}_error_ms": round(1000 * float(np.mean(np.abs(own))), 1) for name, own in errors.items()},
                **{f"{name}_bias_ms": round(1000 * float(np.mean(own)), 1) for name, own in errors.items()},
                "raw_ece": round(calibration_error(confidence, is_right), 4),
                "ece": round(calibration_error(calibrated, is_right), 4),
            }
        )
    )


if __name__ == "__main__":
    main()
