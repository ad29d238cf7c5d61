"""Results of frame-level tasks for a recording that arrives in chunks."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from nn.streaming import stream_of
from tasks.results import Result


class FrameStream:
    """One recording on its way through a model of frames, in one pass, where the task itself takes windows.

    Args:
        model: from waveforms to logits (B, N, outputs) and lengths (B,).
        result: from the logits (N, outputs) of a recording and its number of samples to its result.

    Raises:
        CannotStream: the model needs the whole recording.
    """

    def __init__(self, model: nn.Module, result: Callable[[Tensor, int], Result]) -> None:
        self.model = stream_of(model)
        self.result = result
        self.logits: list[Tensor] = []
        self.samples = 0

    def __call__(self, wav: Tensor, is_last: bool) -> Result:
        """The result of all samples so far, of which these (1, T) are the next; T may be 0."""
        self.samples += wav.shape[1]
        self.logits.append(self.model(wav, is_last)[0].float())
        self.logits = [torch.cat(self.logits)]
        return self.result(self.logits[0], self.samples)
