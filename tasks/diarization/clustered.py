"""Diarization by clustering alone: embeddings of short windows of speech, and no training."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor, nn

from nn.diarize.speech import FRAME_SEC, energy_activity
from nn.diarize.windows import runs, starts
from tasks.base import Mode, StepOutput
from tasks.diarization.base import SAMPLE_RATE, Diarization, Turn
from tasks.diarization.embeddings import Clustering, embeddings_of


class ClusteredDiarization(Diarization):
    """Clusters the embeddings of short windows of speech: nothing is trained.

    Args:
        model: an upstream whose last state is an embedding of speakers.
        clustering: clusters the windows.
        window: seconds of each window.
        hop: seconds from one window to the next.
        speech_share: of the range of levels; see :func:`nn.diarize.speech.energy_activity`.
        others: of :class:`Diarization`.
    """

    def __init__(
        self,
        model: nn.Module,
        clustering: Clustering,
        *,
        window: float = 1.6,
        hop: float = 0.4,
        speech_share: float = 0.35,
        **others: Any,
    ):
        super().__init__(model, **others)
        self.clustering, self.window, self.hop, self.speech_share = clustering, window, hop, speech_share

    def forward(
        self, mode: str, *, id: list[str], turns: list[str], scored: list[str] | None = None, **batch: Any
    ) -> StepOutput:
        """The turns of whole recordings and their errors. There is no loss to train with."""
        self.check_mode(mode)
        if mode == Mode.TRAIN:
            raise ValueError("this task has nothing to train: set train.total_steps to 0")
        hypotheses = [self.turns(own[:length]) for own, length in zip(batch["wav"], batch["wav_len"].tolist())]
        records = self.scores(id, turns, scored or [""] * len(id), hypotheses) | {"loss": [0.0] * len(id)}
        return StepOutput(batch["wav"].new_zeros(()), float(len(id)), records)

    def turns(self, wav: Tensor) -> list[Turn]:
        seconds = len(wav) / SAMPLE_RATE
        speech = energy_activity(wav.cpu().numpy(), SAMPLE_RATE, self.speech_share)
        window, hop = round(self.window / FRAME_SEC), round(self.hop / FRAME_SEC)
        pieces, middles = [], []
        for first, end in runs(speech):
            for start in starts(end - first, window, hop):
                span = first + start, min(end, first + start + window)
                pieces.append(wav[round(span[0] * FRAME_SEC * SAMPLE_RATE) : round(span[1] * FRAME_SEC * SAMPLE_RATE)])
                middles.append((first, end, (span[0] + span[1]) / 2))
        if not pieces:
            return []
        labels = self.clustering(embeddings_of(self.model, pieces))
        activity = np.zeros((len(speech), int(labels.max()) + 1), bool)
        for number, (first, end, middle) in enumerate(middles):
            left = (middles[number - 1][2] + middle) / 2 if number and middles[number - 1][0] == first else first
            is_last = number + 1 == len(middles) or middles[number + 1][0] != first
            right = end if is_last else (middles[number + 1][2] + middle) / 2
            activity[round(left) : round(right), labels[number]] = True
        return self.as_turns(activity, FRAME_SEC, seconds)
