"""Sound event detection: the events in a recording, each with a label and two times; events may overlap.

In training the unit is a window of a recording; in validation and tests it is the whole recording, in windows whose
outputs are averaged where they overlap.

Notation: B windows, T samples, N frames, C labels.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nn.diarize.windows import mean, smooth, spans
from nn.mask import frame_mask
from tasks.base import Mode, Records, StepOutput, Task, check_scores
from tasks.contracts import Labels
from tasks.frame_stream import FrameStream
from tasks.metrics.events import Event, score
from tasks.metrics.kinds import Count, Metric, Number, Rate
from tasks.recordings import SAMPLE_RATE, window_outputs
from tasks.results import Events, Segment


@dataclass
class Scoring:
    """Tolerances of the scores.

    Args:
        collar: seconds that an onset may be off.
        offset_share: part of the length of an event that its offset may be off, if that is more than the collar.
        segment: seconds of a segment.
    """

    collar: float = 0.2
    offset_share: float = 0.2
    segment: float = 1.0


def _metrics(scoring: Scoring) -> dict[str, Metric]:
    """The declarations of the metrics, with their tolerances in their names."""
    onset, segment = f"{1000 * scoring.collar:g} ms", f"{scoring.segment:g} s"
    offset = f"{100 * scoring.offset_share:g}% of the length"
    return {
        "onset_f1": Rate(better="higher", label=f"onset F1 ({onset})", of=("onset_matched", "events_of_both")),
        "onset_precision": Rate(better="higher", of=("onset_hits", "found")),
        "onset_recall": Rate(better="higher", of=("onset_hits", "references")),
        "onset_offset_f1": Rate(
            better="higher", label=f"onset and offset F1 ({onset}, {offset})", of=("offset_matched", "events_of_both")
        ),
        "segment_f1": Rate(
            better="higher", label=f"segment F1 ({segment})", of=("segment_matched", "segments_of_both")
        ),
        "segment_er": Rate(
            better="lower", label=f"segment ER ({segment})", of=("segment_errors", "segment_references")
        ),
        "loss": Number(better="lower", of=("loss", None)),
    }


class EventDetection(Task):
    """Trains a model with one output a label and frame; finds events where outputs stay above a threshold.

    Args:
        model: from waveforms or hidden states to logits (B, N, C) and lengths (B,).
        encoder: from numbers to the labels of events.
        window: seconds of audio that the model gets at once, in validation and tests.
        hop: seconds from one window to the next.
        threshold: least probability of an event.
        median: seconds of the median filter over frames.
        min_duration: shorter events are dropped, in seconds.
        min_gap: shorter gaps between two events of one label are filled, in seconds.
        scoring: tolerances.
    """

    predicts = "turns"

    takes_features = True

    def __init__(
        self,
        model: nn.Module,
        encoder: Labels,
        *,
        window: float = 4.0,
        hop: float = 2.0,
        threshold: float = 0.5,
        median: float = 0.25,
        min_duration: float = 0.125,
        min_gap: float = 0.0,
        scoring: Scoring | None = None,
    ):
        super().__init__(model)
        if hop > window:
            raise ValueError(f"hop is {hop} s, which leaves gaps between windows of {window} s")
        self.encoder, self.window, self.hop = encoder, window, hop
        self.numbers = {encoder.decode(number): number for number in range(len(encoder))}
        self.threshold, self.median = threshold, median
        self.min_duration, self.min_gap = min_duration, min_gap
        self.scoring = scoring or Scoring()
        self.metrics = {**_metrics(self.scoring), "events": Count(), "recordings": Count()}

    @property
    def frame_sec(self) -> float:
        """Seconds of a frame."""
        return self.model.downsample_rate / SAMPLE_RATE

    # ---- training ----

    def forward(self, mode: str, *, id: list[str], events: list[str], **batch: Any) -> StepOutput:
        """One step: in training on windows, otherwise on whole recordings. The loss is binary cross-entropy, the mean
        over the frames and labels of each.

        events: JSON lists of [start, end, label]; other keys: the model's inputs.
        """
        self.check_mode(mode)
        if mode != Mode.TRAIN and batch.get("wav") is not None:
            return self._evaluated(id, events, batch["wav"], batch["wav_len"])
        logits, lengths = self.run_model(batch)
        losses = self._losses(logits, lengths, [json.loads(own) for own in events])
        return StepOutput(losses.mean(), float(len(id)), {"id": list(id)})

    def _losses(self, logits: Tensor, lengths: Tensor, events: Sequence[Sequence[Event]], start: float = 0.0) -> Tensor:
        """The loss of each window (B,). ``start``: the time of its first frame, as the events count it."""
        check_scores(logits, len(self.encoder), "a frame")
        targets = np.stack([self._target(own, logits.shape[1], start) for own in events])
        losses = F.binary_cross_entropy_with_logits(
            logits.float(), torch.from_numpy(targets).to(logits.device), reduction="none"
        ).mean(dim=2)
        mask = frame_mask(lengths, logits.shape[1])
        return losses.masked_fill(~mask, 0.0).sum(dim=1) / lengths.clamp_min(1)

    def _target(self, events: Sequence[Event], frames: int, start: float) -> np.ndarray:
        """1 for each frame whose middle is inside an event of a label: float32 (frames, C)."""
        middles = start + (np.arange(frames) + 0.5) * self.frame_sec
        target = np.zeros((frames, len(self.encoder)), np.float32)
        for first, last, label in events:
            if label in self.numbers:  # else training lacks it, which stage 1 warns of
                target[(middles >= first) & (middles < last), self.numbers[label]] = 1.0
        return target

    # ---- whole recordings ----

    def _evaluated(self, id: Sequence[str], events: Sequence[str], wav: Tensor, wav_len: Tensor) -> StepOutput:
        records: dict[str, list[Any]] = {"id": list(id)}
        for own, length, text in zip(wav, wav_len.tolist(), events):
            windows = self._outputs(own[:length])
            for name, value in self._record(json.loads(text), self._found(windows, length)).items():
                records.setdefault(name, []).append(value)
            records.setdefault("loss", []).append(self._loss_of(windows, json.loads(text)))
        return StepOutput(wav.new_tensor(math.fsum(records["loss"]) / len(id)), float(len(id)), records)

    def _record(self, references: Sequence[Event], found: Sequence[Event]) -> dict[str, Any]:
        """The record of a recording but its loss: events and counts."""
        counts = score(references, found, **asdict(self.scoring))
        return {
            "reference": json.dumps(references, ensure_ascii=False),
            "hypothesis": json.dumps(found, ensure_ascii=False),
            **asdict(counts),
            "onset_matched": 2 * counts.onset_hits,
            "offset_matched": 2 * counts.offset_hits,
            "events_of_both": counts.references + counts.found,
            "segment_matched": 2 * counts.segment_hits,
            "segments_of_both": counts.segment_references + counts.segment_found,
        }

    def events(self, wav: Tensor) -> list[Event]:
        """The events of a recording (T,) at 16 kHz, in order of time, with times to the millisecond."""
        return self._found(self._outputs(wav), len(wav))

    def _outputs(self, wav: Tensor) -> list[tuple[int, Tensor]]:
        sizes = {"frame_samples": self.model.downsample_rate, "window": self.window, "hop": self.hop}
        return window_outputs(self.run_model, wav, **sizes)

    def _loss_of(self, windows: Sequence[tuple[int, Tensor]], reference: Sequence[Event]) -> float:
        """The mean loss of the windows."""
        losses = []
        for first, logits in windows:
            if len(logits):
                lengths = torch.tensor([len(logits)], device=logits.device)
                losses.append(float(self._losses(logits[None], lengths, [reference], first * self.frame_sec)))
        return math.fsum(losses) / max(1, len(losses))

    def _found(self, windows: Sequence[tuple[int, Tensor]], samples: int) -> list[Event]:
        """The events of a recording of so many samples."""
        total = max([1, *(first + len(logits) for first, logits in windows)])
        outputs = mean([(first, logits.detach().sigmoid().cpu().numpy()) for first, logits in windows], total)
        active = smooth(outputs > self.threshold, round(self.median / self.frame_sec))
        limits = {"min_silence": self.min_gap, "min_speech": self.min_duration}
        found = [
            (round(start, 3), round(min(end, samples / SAMPLE_RATE), 3), self.encoder.decode(number))
            for number in range(len(self.encoder))
            for start, end in spans(active[:, number], self.frame_sec, **limits)
        ]
        return sorted(found)

    def measure(self, mode: str, records: Records) -> dict[str, float]:
        """F1 of onsets, and of onsets with offsets; precision and recall of onsets; F1 and error rate of segments.

        All are of sums over all recordings. A share of nothing is 0; errors without any reference are infinitely many.
        """
        metrics: dict[str, float] = {}
        for name, metric in self.metrics.items():
            if metric.of is not None:
                part, whole = (len(records["id"]) if own is None else math.fsum(records[own]) for own in metric.of)
                metrics[name] = part / whole if whole else math.inf if part else 0.0
        return metrics | {"events": sum(records["references"]), "recordings": len(records["id"])}

    def infer(self, wav: Tensor, wav_len: Tensor) -> list[Events]:
        """The events of each recording."""
        return [_result(self.events(own[:length])) for own, length in zip(wav, wav_len.tolist())]

    def stream(self) -> FrameStream:
        """A recording that arrives in chunks: one window of any length."""
        return FrameStream(self.model, lambda logits, samples: _result(self._found([(0, logits)], samples)))


def _result(events: Sequence[Event]) -> Events:
    return Events([Segment(round(start, 3), round(end, 3), label) for start, end, label in events])
