"""Run a frame-level model over a whole recording, window by window."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from nn.diarize.windows import starts

SAMPLE_RATE = 16000
WINDOWS_AT_ONCE = 16


def window_outputs(
    run_model: Callable[[Mapping[str, Tensor]], tuple[Tensor, Tensor]],
    wav: Tensor,
    *,
    frame_samples: int,
    window: float,
    hop: float,
    at_once: int = WINDOWS_AT_ONCE,
) -> list[tuple[int, Tensor]]:
    """First frame and logits (N, outputs) of each window of a recording (T,).

    Args:
        run_model: from a batch with ``wav`` and ``wav_len`` to logits (B, N, outputs) and lengths (B,).
        frame_samples: samples of a frame.
        window, hop: seconds of a window, and from one to the next.
        at_once: windows of a batch.
    """
    frames, step = (max(1, round(sec * SAMPLE_RATE / frame_samples)) for sec in (window, hop))
    firsts = starts(math.ceil(len(wav) / frame_samples), frames, step)
    outputs: list[tuple[int, Tensor]] = []
    for place in range(0, len(firsts), at_once):
        group = firsts[place : place + at_once]
        pieces = [wav[first * frame_samples : (first + frames) * frame_samples] for first in group]
        lens = torch.tensor([len(piece) for piece in pieces], device=wav.device)
        padded = nn.utils.rnn.pad_sequence(pieces, batch_first=True)
        logits, lengths = run_model({"wav": padded, "wav_len": lens})
        outputs += [(first, own[:n]) for first, own, n in zip(group, logits.float(), lengths.tolist())]
    return outputs
