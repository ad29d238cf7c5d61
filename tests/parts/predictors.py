"""Predictors of models that need no training."""

from __future__ import annotations

import torch

from problems.base import Problem
from problems.engine.inference.predictor import Predictor
from tasks.base import Task
from tasks.results import Label


class Statistics(torch.nn.Module):
    """Three scores of an utterance, from its true samples alone."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[tuple[int, int]] = []

    def forward(self, wav, wav_len):
        self.batches.append(tuple(wav.shape))
        rows = [own[:n].double() for own, n in zip(wav, wav_len.tolist())]
        return torch.stack([torch.stack([x.mean(), x.std(correction=0), x.abs().max()]) for x in rows]).float()


class Labels(Task):
    """The scores as the probabilities of three labels."""

    def infer(self, wav, wav_len):
        names = ("mean", "deviation", "peak")
        return [Label.of(dict(zip(names, own))) for own in self.model(wav, wav_len).tolist()]


def predictor(task: type[Task] = Labels, long_audio: str = "whole", folder: str = "nowhere") -> Predictor:
    """A predictor of a task around :class:`Statistics`; ``folder`` has its card, if that is asked for."""

    class Own(Problem):
        def load_model_and_task(self, ckpts_dir):
            own = task(Statistics())
            return own.model, own

    Own.long_audio = long_audio
    return Predictor(folder, Own(), "cpu")
