"""Predict with a trained checkpoint on new audio."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch

from dataset.audio import AudioError, read
from problems.engine.checkpoints.moved_upstream import load_options
from problems.engine.runtime.device import pick_device
from problems.engine.runtime.numerics import numerics
from problems.engine.runtime.overrides import call
from tasks.base import Task


class PredictingProblem(Protocol):
    """The methods of a problem that prediction needs."""

    def load_model_and_task(self, ckpts_dir: str, **options: Any) -> tuple[torch.nn.Module, Task]: ...

    def predict_wav(self, task: Task, wav: torch.Tensor, device: str) -> str: ...

    def predict_files(
        self, task: Task, paths: Sequence[str], device: str
    ) -> Iterator[tuple[str, str | AudioError]]: ...


class Predictor:
    """A trained model, ready for new audio.

    Args:
        folder: a checkpoint.
        problem: the problem that trained it.
        device: auto, cpu, cuda, ...
        upstream: the file or folder of its frozen upstream, if that has moved.

    Raises:
        CheckpointError: the upstream is not the one that the checkpoint was trained on.
    """

    def __init__(
        self, folder: str | Path, problem: PredictingProblem, device: str = "auto", upstream: str | None = None
    ) -> None:
        self.folder, self.problem, self.device = Path(folder), problem, pick_device(device)
        options = load_options(self.folder, upstream)
        self.model, self.task = call(problem, "load_model_and_task", ckpts_dir=str(self.folder), **options)
        self.task.to(self.device).eval()

    def predict(self, audio: str | Path | torch.Tensor) -> str:
        """The prediction for a file of any rate and channel count, or for a waveform (T,) at 16 kHz.

        Raises:
            AudioError: the file cannot be read.
        """
        wav = audio if isinstance(audio, torch.Tensor) else read(audio)
        with numerics(deterministic=False, tf32=False):
            return call(self.problem, "predict_wav", task=self.task, wav=wav, device=str(self.device))

    def predict_files(self, paths: Sequence[str]) -> Iterator[tuple[str, str | AudioError]]:
        """Each path with its prediction, or with the error if the file cannot be read."""
        with numerics(deterministic=False, tf32=False):
            arguments = {"task": self.task, "paths": paths, "device": str(self.device)}
            yield from call(self.problem, "predict_files", **arguments)
