"""The files of a verification test: predictions.csv, scores.txt, embeddings.npz, det.json."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dataset.storage.files import replacing, write_json
from tasks.metrics.verification import TrialScores
from tasks.verification.embeddings import from_text

BLOCK = 65536  # trials at a time, so that millions of them are never in memory as text at once


def save(task: Any, mode: str, records: Mapping[str, list[Any]], folder: Path) -> None:
    """Score the trials of ``records`` and write:

    - ``predictions.csv``: ``id1, id2, label, score``, and ``llr``, the natural log likelihood ratio, if the
      checkpoint was validated;
    - ``scores.txt``: ``enrolment test score`` per line, separated by spaces, or by tabs if a name has white space;
    - ``embeddings.npz``: ``ids`` and ``embeddings``, float32 (utterances, D), each utterance once;
    - ``det.json``: the points of the DET curve, if there are trials of both kinds.
    """
    trials, scores = task.scored(mode, records)
    ratios = task.likelihood_ratios(scores)
    names = [trials.enrolments, trials.tests]
    with replacing(folder / "embeddings.npz") as file:
        np.savez(file, ids=np.array(records["id"], dtype=str), embeddings=from_text(records["embedding"]))
    if trials.targets.any() and not trials.targets.all():
        write_json(folder / "det.json", [vars(point) for point in TrialScores(scores, trials.targets).det_curve()])
    space = "\t" if any(len(name.split()) != 1 for side in names for name in side) else " "
    with (
        replacing(folder / "scores.txt", "w", encoding="utf-8", newline="\n") as plain,
        replacing(folder / "predictions.csv", "w", encoding="utf-8", newline="") as table,
    ):
        rows = csv.writer(table, lineterminator="\n")
        rows.writerow(["id1", "id2", "label", "score", *([] if ratios is None else ["llr"])])
        for start in range(0, len(trials), BLOCK):
            part = slice(start, start + BLOCK)
            sides = [[names[n][i] for i in index[part]] for n, index in enumerate((trials.enrol, trials.test))]
            texts = [f"{score:.9g}" for score in scores[part].tolist()]
            columns = [*sides, trials.targets[part].astype(int).tolist(), texts]
            columns += [] if ratios is None else [[f"{ratio:.6g}" for ratio in ratios[part].tolist()]]
            rows.writerows(zip(*columns))
            plain.writelines(f"{one}{space}{other}{space}{text}\n" for one, other, text in zip(*sides, texts))
