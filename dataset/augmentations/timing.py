"""Times in labels, such as turns and events, moved as an augmentation moves the audio."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

from dataset import SAMPLE_RATE


class Timing(NamedTuple):
    """An augmentation's effect on time: what was heard at t is heard at ``scale * t + shift``.

    Args:
        seconds: the new length of the audio; what lies outside is lost.
    """

    scale: float
    shift: float
    seconds: float

    def moved(self, spans: Sequence[Sequence[Any]]) -> list[list[Any]]:
        """Return spans ``[start, end, ...]`` in seconds at their new places, cut to the audio; others are lost."""
        places = (
            [max(0.0, self.scale * start + self.shift), self.scale * end + self.shift, *rest]
            for start, end, *rest in spans
        )
        cut = ([start, min(end, self.seconds), *rest] for start, end, *rest in places)
        return [span for span in cut if span[1] > span[0]]


def augmented(augment: Callable[[torch.Tensor], torch.Tensor], wav: torch.Tensor) -> tuple[torch.Tensor, list[Timing]]:
    """Return the augmented waveform, as a call of ``augment`` gives it, and what that did to time, in turn.

    Args:
        augment: has a method ``timed`` that returns both, or leaves every sound at its time.

    Raises:
        ValueError: it has none and changes the length.
    """
    if hasattr(augment, "timed"):
        return augment.timed(wav)
    result = augment(wav)
    if len(result) != len(wav):
        raise ValueError(
            f"{type(augment).__name__} changed {len(wav)} samples to {len(result)}, but does not tell where the"
            " labelled times are then: give it a method timed(wav) that returns the waveform and a list of"
            " dataset.augmentations.timing.Timing"
        )
    return result, []


def moves_time(augment: Any) -> bool:
    """Return True if an augmentation may move sounds in time."""
    return getattr(augment, "moves_time", hasattr(augment, "timed"))


def moved_cell(text: str, timings: Sequence[Timing]) -> str:
    """Return a cell of metadata, ``[[start, end, ...], ...]`` as JSON, after these changes of time."""
    spans = json.loads(text) if text else []
    for timing in timings:
        spans = timing.moved(spans)
    return json.dumps(spans, ensure_ascii=False)


def length_of(wav: torch.Tensor) -> float:
    """Return the seconds of a waveform (T,)."""
    return len(wav) / SAMPLE_RATE
