"""Pieces of long recordings, the results of which are joined."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from torch import Tensor

from dataset import SAMPLE_RATE
from dataset.long_audio.chunking import at_pauses, in_windows
from problems.engine.inference.recordings import LONG, Recording
from tasks.results import Result, Value

WINDOW = 60.0
"""The longest window of a recording that is cut into windows, in seconds."""

Piece = tuple[float, float, Any]
"""Start and length in seconds, and the result."""


def pieces_of(recording: Recording, long_audio: str) -> Iterator[tuple[float, Tensor]]:
    """The start, in seconds, and the samples of each piece of a recording.

    Args:
        long_audio: as ``Problem.long_audio``: pauses, windows or whole.
    """
    pieces: Iterable[Tensor]
    if long_audio == "pauses":
        pieces = at_pauses(recording.blocks)
    elif long_audio == "windows" and recording.seconds > LONG:
        pieces = in_windows(recording.blocks, round(recording.seconds * SAMPLE_RATE), WINDOW)
    else:
        pieces = [_whole(list(recording.blocks))]
    begin, start = 0, recording.span[0] or 0.0  # times of a part are those of its file
    for piece in pieces:
        yield start + begin / SAMPLE_RATE, piece
        begin += len(piece)


def _whole(blocks: Sequence[Tensor]) -> Tensor:
    import torch

    return blocks[0] if len(blocks) == 1 else torch.cat(list(blocks))


def joined(recording: Recording, pieces: Sequence[Piece]) -> Result:
    """The result of a recording."""
    first = pieces[0][2]
    if not isinstance(first, Result):
        first = Value(first if len(pieces) == 1 else " ".join(str(own) for _, _, own in pieces))
    result = type(first).joined(pieces) if first.joinable else first
    result.source, result.seconds = recording.name, round(recording.seconds, 3)
    return result
