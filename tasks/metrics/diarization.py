"""Diarization error rate and Jaccard error rate, exact in time.

Definitions of NIST's md-eval and of the second DIHARD challenge. Time is cut at every boundary of a turn, so that
nothing is rounded to frames.

Conventions differ between scorers. Here a collar is removed on each side of a boundary, as in md-eval; the argument
``collar`` of pyannote.metrics is twice as long. Speakers of the hypothesis are matched with those of the reference by
the time that they share in what counts, as in pyannote.metrics; md-eval also takes the time inside collars, and
overlapped speech that does not count, so that its confusion may be larger (``mapping="all"``). Without spans to
score, all of the recording counts; md-eval then leaves out what comes before the first and after the last reference
turn, and with it false alarms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass
class DiarizationScore:
    """The errors of a recording, in seconds of speaker time."""

    speech: float
    """Reference speech; time in which two speak counts twice."""
    missed: float
    false_alarm: float
    confusion: float
    jaccard_errors: float
    """The sum over reference speakers of their Jaccard error."""
    speakers: int
    """In the reference, within what is scored."""
    found_speakers: int

    @property
    def errors(self) -> float:
        """The numerator of the diarization error rate."""
        return self.missed + self.false_alarm + self.confusion


Turns = Sequence[tuple[float, float, str]]
"""Start and end in seconds, and the speaker."""


def score(
    reference: Turns,
    hypothesis: Turns,
    scored: Sequence[tuple[float, float]] | None = None,
    *,
    collar: float = 0.0,
    skip_overlap: bool = False,
    mapping: str = "scored",
) -> DiarizationScore:
    """Compare the turns of a recording with its reference.

    Args:
        scored: the spans that count, in seconds; None: all.
        collar: seconds that do not count on each side of a reference boundary.
        skip_overlap: leave out where two or more speakers of the reference speak.
        mapping: match speakers by the time that they share in what is ``scored``, or in ``all`` of the spans.
    """
    reference = merged(reference)
    edges = [edge for start, end, _ in reference for edge in (start, end)]
    spans = [*scored] if scored is not None else []
    ignored = [(edge - collar, edge + collar) for edge in edges] if collar else []
    turns = [*reference, *hypothesis]
    times = np.unique([t for start, end, *_ in (*turns, *spans, *ignored) for t in (start, end)])
    if len(times) < 2:
        return DiarizationScore(0.0, 0.0, 0.0, 0.0, 0.0, 0, 0)
    middles, lengths = (times[1:] + times[:-1]) / 2, np.diff(times)
    in_spans = np.ones(len(middles), bool) if scored is None else _inside(middles, spans)
    counts = in_spans & ~_inside(middles, ignored)
    spoken, detected = _activity(middles, reference), _activity(middles, hypothesis)
    if skip_overlap:
        counts &= spoken.sum(axis=1) < 2
    weights = np.where(in_spans if mapping == "all" else counts, lengths, 0.0)
    pairs = _matched((spoken * weights[:, None]).T @ detected.astype(np.float64))
    return _compare(spoken, detected, np.where(counts, lengths, 0.0), pairs)


def merged(turns: Turns) -> list[tuple[float, float, str]]:
    """Turns of which those of one speaker that touch or overlap are one, so that no boundary lies inside speech."""
    joined: list[tuple[float, float, str]] = []
    last: dict[str, int] = {}
    for start, end, speaker in sorted(turns):
        place = last.get(speaker)
        if place is not None and start <= joined[place][1]:
            joined[place] = (joined[place][0], max(end, joined[place][1]), speaker)
        else:
            last[speaker] = len(joined)
            joined.append((start, end, speaker))
    return joined


def _matched(together: np.ndarray) -> dict[int, int]:
    """The speakers of the hypothesis by those of the reference, so that the time that they share (R, H) is longest."""
    from scipy.optimize import linear_sum_assignment

    pairs = zip(*linear_sum_assignment(together, maximize=True))
    return {int(row): int(column) for row, column in pairs if together[row, column] > 0}


def _compare(spoken: np.ndarray, detected: np.ndarray, lengths: np.ndarray, pairs: dict[int, int]) -> DiarizationScore:
    """The errors of activities, bool (S, R) and (S, H), in S stretches of time of these lengths (S,)."""
    number_spoken, number_said = spoken.sum(axis=1), detected.sum(axis=1)
    right = (spoken[:, list(pairs)] & detected[:, list(pairs.values())]).sum(axis=1)
    totals, detected_totals = lengths @ spoken, lengths @ detected
    jaccard = 0.0
    for row, total in enumerate(totals):
        if total > 0 and row in pairs:
            together = lengths @ (spoken[:, row] & detected[:, pairs[row]])
            jaccard += 1 - together / (total + detected_totals[pairs[row]] - together)
        elif total > 0:
            jaccard += 1.0
    return DiarizationScore(
        speech=float(lengths @ number_spoken),
        missed=float(lengths @ np.maximum(number_spoken - number_said, 0)),
        false_alarm=float(lengths @ np.maximum(number_said - number_spoken, 0)),
        confusion=float(lengths @ (np.minimum(number_spoken, number_said) - right)),
        jaccard_errors=float(jaccard),
        speakers=int((totals > 0).sum()),
        found_speakers=int((detected_totals > 0).sum()),
    )


def _inside(middles: np.ndarray, spans: Sequence[tuple[float, float]]) -> np.ndarray:
    inside = np.zeros(len(middles), bool)
    for start, end in spans:
        inside |= (middles > start) & (middles < end)
    return inside


def _activity(middles: np.ndarray, turns: Turns) -> np.ndarray:
    """True where a speaker speaks: bool (S, number of speakers)."""
    speakers = sorted({speaker for *_, speaker in turns})
    activity = np.zeros((len(middles), len(speakers)), bool)
    for start, end, speaker in turns:
        first, last = np.searchsorted(middles, (start, end))
        activity[first:last, speakers.index(speaker)] = True
    return activity
