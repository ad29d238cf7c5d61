"""Speaker turns as targets: who speaks in each frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tasks.diarization.base import Turn


def activities(
    turns: Sequence[Turn], frames: int, frame_sec: float, num_speakers: int, at_once: int, start: float = 0.0
) -> np.ndarray:
    """The activity of each speaker in each frame, float32 (frames, num_speakers): those who do at the frame's middle.

    Args:
        num_speakers: those who speak most are kept.
        at_once: of those who speak at once, those who speak most are kept.
        start: the time of the first frame, in seconds.
    """
    middles = start + (np.arange(frames) + 0.5) * frame_sec
    spoken: Mapping[str, np.ndarray] = {name: np.zeros(frames, bool) for name in sorted({turn[2] for turn in turns})}
    for first, last, name in turns:
        spoken[name] |= (middles >= first) & (middles < last)
    longest = sorted(spoken, key=lambda name: -int(spoken[name].sum()))[:num_speakers]
    target = np.zeros((frames, num_speakers), np.float32)
    for number, name in enumerate(longest):
        target[:, number] = spoken[name]
    return np.where(target.cumsum(axis=1) <= at_once, target, 0.0).astype(np.float32)


def clear_frames(activity: np.ndarray, speaker: int) -> np.ndarray:
    """The frames in which a speaker speaks alone, or all of the speaker's, if these are too few: int (n,)."""
    spoken = activity[:, speaker]
    alone = np.flatnonzero(spoken & (activity.sum(axis=1) == 1))
    return alone if len(alone) >= 0.3 * spoken.sum() else np.flatnonzero(spoken)
