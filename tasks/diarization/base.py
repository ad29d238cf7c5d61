"""Speaker diarization: the scores of the turns that are found in recordings."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn

from nn.diarize.windows import spans
from tasks.base import Records, Task
from tasks.metrics.diarization import score
from tasks.metrics.kinds import Count, Number, Rate
from tasks.results import Segment, Turns

SAMPLE_RATE = 16000
Turn = tuple[float, float, str]
"""Start and end in seconds, and the speaker."""


@dataclass
class Scoring:
    """The part of a recording that is scored.

    Args:
        collar: seconds around each reference boundary, on each side, that do not count.
        skip_overlap: leave out overlapped speech.
        mapping: match speakers by the time that they share in what is ``scored``, or in ``all`` of the spans.
    """

    collar: float = 0.0
    skip_overlap: bool = False
    mapping: str = "scored"

    @property
    def summary(self) -> str:
        """The settings that the number depends on, for a heading."""
        mapping = ", speakers matched as by md-eval" if self.mapping == "all" else ""
        return f"collar {self.collar:g} s, overlap {'left out' if self.skip_overlap else 'scored'}{mapping}"


class Diarization(Task):
    """Scores the turns that :meth:`turns` finds in a recording.

    Args:
        model: what a subclass needs.
        scoring: what of a recording is scored.
        min_silence: shorter pauses inside a turn are filled, in seconds.
        min_speech: shorter turns are dropped, in seconds.
    """

    predicts = "turns"

    def __init__(
        self, model: nn.Module, scoring: Scoring | None = None, min_silence: float = 0.0, min_speech: float = 0.0
    ):
        super().__init__(model)
        self.scoring = scoring or Scoring()
        self.min_silence, self.min_speech = min_silence, min_speech
        self.metrics = {
            "der": Rate(better="lower", label=f"DER ({self.scoring.summary})", of=("errors", "speech")),
            "missed": Rate(better="lower", of=("missed", "speech")),
            "false_alarm": Rate(better="lower", of=("false_alarm", "speech")),
            "confusion": Rate(better="lower", of=("confusion", "speech")),
            "jer": Rate(better="lower", label="JER", of=("jaccard_errors", "speakers")),
            "right_count": Rate(better="higher", label="right number of speakers", of=("right_count", None)),
            "loss": Number(better="lower", of=("loss", None)),
            "speech": Count(unit="s"),
            "recordings": Count(),
        }

    def turns(self, wav: Tensor) -> list[Turn]:
        """The turns of a recording (T,) at 16 kHz, in order of time."""
        raise NotImplementedError(f"{type(self).__name__} does not define turns(wav)")

    def as_turns(self, activity: np.ndarray, frame_sec: float, seconds: float) -> list[Turn]:
        """Turns of an activity, bool (frames, speakers)."""
        turns = [
            (start, min(end, seconds), f"speaker{speaker + 1}")
            for speaker in range(activity.shape[1])
            for start, end in spans(
                activity[:, speaker], frame_sec, min_silence=self.min_silence, min_speech=self.min_speech
            )
        ]
        return sorted(turns)

    def scores(
        self, id: Sequence[str], turns: Sequence[str], scored: Sequence[str], hypotheses: Sequence[list[Turn]]
    ) -> dict[str, list[Any]]:
        """The records of recordings: their turns and their errors."""
        columns: dict[str, list[Any]] = {"id": list(id)}
        for reference, scored_spans, own in zip(turns, scored, hypotheses):
            errors = score(
                json.loads(reference),
                own,
                json.loads(scored_spans) if scored_spans else None,
                collar=self.scoring.collar,
                skip_overlap=self.scoring.skip_overlap,
                mapping=self.scoring.mapping,
            )
            row = {
                "reference": reference,
                "scored": scored_spans,
                "hypothesis": json.dumps([[round(start, 3), round(end, 3), name] for start, end, name in own]),
                "errors": errors.errors,
                **{name: getattr(errors, name) for name in ("missed", "false_alarm", "confusion", "speech")},
                "jaccard_errors": errors.jaccard_errors,
                "speakers": errors.speakers,
                "found_speakers": errors.found_speakers,
                "right_count": int(errors.speakers == errors.found_speakers),
            }
            for name, value in row.items():
                columns.setdefault(name, []).append(value)
        return columns

    def measure(self, mode: str, records: Records) -> dict[str, float]:
        """DER and its parts over all speech, JER over all speakers, and how often their number is right."""
        number, speech = len(records["id"]), math.fsum(records["speech"])
        if speech == 0:
            raise ValueError("nobody speaks in the references, or nothing of it is scored: there is no error rate")
        parts = {name: math.fsum(records[name]) / speech for name in ("missed", "false_alarm", "confusion")}
        return {
            "der": math.fsum(records["errors"]) / speech,
            **parts,
            "jer": math.fsum(records["jaccard_errors"]) / max(1, sum(records["speakers"])),
            "right_count": sum(records["right_count"]) / number,
            "loss": math.fsum(records["loss"]) / number,
            "speech": speech,
            "recordings": number,
        }

    def infer(self, wav: Tensor, wav_len: Tensor) -> list[Turns]:
        """The turns of each recording."""
        return [result_of(self.turns(own[:length])) for own, length in zip(wav, wav_len.tolist())]


def result_of(turns: Sequence[Turn]) -> Turns:
    """The turns of a recording as a result."""
    return Turns([Segment(round(start, 3), round(end, 3), name) for start, end, name in turns])
