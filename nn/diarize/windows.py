"""Cut a recording into windows, and join the speakers of all windows.

Notation: T frames of a recording, N frames of a window, S speakers of a window.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def starts(total: int, window: int, hop: int) -> list[int]:
    """The first frame of each window over ``total`` frames; the last window ends where the recording ends."""
    if total <= window:
        return [0]
    firsts = list(range(0, total - window, hop))
    return [*firsts, total - window]


def join(windows: Sequence[tuple[int, np.ndarray]], total: int) -> np.ndarray:
    """The mean activity of each speaker over a recording, (T, S), from windows in order.

    The speakers of a window are those of the windows before it that agree most in the frames that they share.

    Args:
        windows: first frame and activity, float (N, S), of each.
    """
    from scipy.optimize import linear_sum_assignment

    speakers = windows[0][1].shape[1]
    sums, counts = np.zeros((total, speakers)), np.zeros((total, 1))
    for first, activity in windows:
        span = slice(first, first + len(activity))
        before = sums[span] / np.maximum(counts[span], 1)
        order = np.arange(speakers)
        agreement = before.T @ activity
        if agreement.any():
            _, order = linear_sum_assignment(agreement, maximize=True)
        sums[span] += activity[:, order]
        counts[span] += 1
    return sums / np.maximum(counts, 1)


def mean(windows: Sequence[tuple[int, np.ndarray]], total: int) -> np.ndarray:
    """The mean of each output over a recording, (T, S), from windows whose outputs have one order; 0 without a window.

    Args:
        windows: first frame and outputs, float (N, S), of each.
    """
    sums, counts = np.zeros((total, windows[0][1].shape[1])), np.zeros((total, 1))
    for first, outputs in windows:
        sums[first : first + len(outputs)] += outputs
        counts[first : first + len(outputs)] += 1
    return sums / np.maximum(counts, 1)


def merge(
    windows: Sequence[tuple[int, np.ndarray]], labels: Sequence[Sequence[int]], total: int, clusters: int
) -> np.ndarray:
    """The activity of each cluster in each frame, bool (T, C), from windows whose speakers have clusters.

    In each frame as many speak as do in the mean over its windows: the clusters that most windows hear.

    Args:
        windows: first frame and activity, bool (N, S), of each.
        labels: the cluster of each speaker of each window; -1: none.
        clusters: their number C.
    """
    votes, speaking, counts = np.zeros((total, clusters)), np.zeros(total), np.zeros(total)
    for (first, activity), own in zip(windows, labels):
        span = slice(first, first + len(activity))
        heard = np.zeros((len(activity), clusters), bool)
        for speaker, cluster in enumerate(own):
            if cluster >= 0:
                heard[:, cluster] |= activity[:, speaker]
        votes[span] += heard
        speaking[span] += heard.sum(axis=1)
        counts[span] += 1
    number = np.floor(speaking / np.maximum(counts, 1) + 0.5).astype(int)
    order = np.argsort(-votes, axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(clusters)[None].repeat(total, 0), axis=1)
    return (rank < number[:, None]) & (votes > 0)


def smooth(activity: np.ndarray, frames: int) -> np.ndarray:
    """The median over an odd number of frames, for each speaker: (T, S) bool; ends are filled with silence."""
    if frames <= 1:
        return activity
    half = frames // 2
    padded = np.pad(activity.astype(np.int64), ((half + 1, half), (0, 0))).cumsum(axis=0)
    return (padded[2 * half + 1 :] - padded[: -(2 * half + 1)]) > half


def runs(activity: np.ndarray) -> list[tuple[int, int]]:
    """First frame and end of each stretch of true values, (T,) bool."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], activity, [False])).astype(np.int8)))
    return [(int(first), int(last)) for first, last in edges.reshape(-1, 2)]


def spans(activity: np.ndarray, frame_sec: float, *, min_silence: float = 0.0, min_speech: float = 0.0) -> list:
    """Start and end in seconds of one speaker's turns, from (T,) bool.

    Args:
        min_silence: shorter pauses are filled.
        min_speech: shorter turns are dropped, after that.
    """
    joined: list[tuple[int, int]] = []
    for first, last in runs(activity):
        if joined and (first - joined[-1][1]) * frame_sec < min_silence:
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    return [(f * frame_sec, e * frame_sec) for f, e in joined if (e - f) * frame_sec >= min_speech]
