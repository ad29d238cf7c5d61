"""Trivial models of who speaks when, and of which sounds are heard when."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dataset.diarization.turns import from_json
from dataset.encoders.events import events_of
from dataset.metadata import read_csv
from dataset.utterances import Utterances
from nn.diarize.speech import FRAME_SEC, energy_activity
from nn.diarize.windows import spans
from problems.methods.baselines import Baselines
from tasks.metrics import diarization, events


def of_turns(test_csvs: Sequence[str], **scoring: Any) -> Baselines:
    """One speaker who speaks all the time, scored as the model is.

    Args:
        scoring: arguments of :func:`tasks.metrics.diarization.score`.
    """
    baselines: Baselines = {}
    for csv in test_csvs:
        errors = speech = 0.0
        for _, row in read_csv(csv, ("id", "seconds", "turns")).iterrows():
            scored = json.loads(row["scored"]) if row.get("scored") else None
            throughout = [(0.0, float(row["seconds"]), "all")]
            own = diarization.score(from_json(row["turns"]), throughout, scored, **scoring)
            errors, speech = errors + own.errors, speech + own.speech
        if speech:
            baselines[Path(csv).stem] = {"one speaker throughout": {"der": errors / speech}}
    return baselines


def of_events(train_csv: str, test_csvs: Sequence[str], **scoring: float) -> Baselines:
    """The most frequent label wherever a recording is loud, scored as the model is.

    Raises:
        AudioError: a recording cannot be read.
    """
    texts = read_csv(train_csv, ("id", "events"))["events"]
    label = Counter(own for text in texts for _, _, own in events_of(text)).most_common(1)[0][0]
    baselines: Baselines = {}
    for csv in test_csvs:
        utterances, counts = Utterances(csv), Counter()
        for index, text in enumerate(utterances.column("events")):
            loud = spans(energy_activity(utterances[index]["wav"].numpy()), FRAME_SEC)
            counts.update(asdict(events.score(events_of(text), [(*own, label) for own in loud], **scoring)))
        number = counts["references"] + counts["found"]
        metrics = {"onset_f1": 2 * counts["onset_hits"] / number} if number else {}
        if counts["segment_references"]:
            metrics["segment_er"] = counts["segment_errors"] / counts["segment_references"]
        baselines[Path(csv).stem] = {"most frequent label where it is loud": metrics}
    return baselines
