"""Transcripts of a recording that arrives in chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from nn.decode.greedy import GrowingPath
from nn.streaming import stream_of
from tasks.base import check_scores
from tasks.results import Result

if TYPE_CHECKING:
    from tasks.ctc import CTCTask


class CTCStream:
    """One recording on its way through a CTC model and its decoder.

    While it lasts, results are those of the best path, in which only the last word can still change; the last result is
    that of the task's own decoder.

    Raises:
        CannotStream: the model needs the whole recording.
    """

    def __init__(self, task: CTCTask) -> None:
        self.task = task
        self.model = stream_of(task.model)
        self.path = GrowingPath(task.decoder.blank)
        self.logits: list[Tensor] = []
        """All of them, if a beam search is to decode them in the end."""

    def __call__(self, wav: Tensor, is_last: bool) -> Result:
        """The result of all samples so far, of which these (1, T) are the next; T may be 0."""
        logits = self.model(wav, is_last)
        check_scores(logits, len(self.task.encoder), "a frame")
        self.path.add(logits)
        if self.task.decoder.name == "greedy":
            return self.task.path_result(self.path.tokens)
        self.logits.append(logits)
        if not is_last:
            return self.task.path_result(self.path.tokens)
        whole = torch.cat(self.logits, dim=1)
        (result,) = self.task.results(whole, torch.tensor([whole.shape[1]]))
        return result
