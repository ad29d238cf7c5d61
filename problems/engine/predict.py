"""A checkpoint on new audio: all that is needed stands in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from problems.engine import checkpoint
from problems.engine.errors import CheckpointError
from problems.engine.files import read_json


def find(folder: Path) -> Path:
    """The checkpoint that ``folder`` is, or the best one of the training or target folder that it is.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    folder = Path(folder)
    if (folder / "model").is_dir():
        return checkpoint.require(folder)
    for train_dir in (folder, folder / "train"):
        if checkpoint.steps_in(train_dir):
            return checkpoint.best(train_dir)
    raise CheckpointError(f"{folder} is no checkpoint, and holds none: expected a folder like .../train/step_00001000")


class Predictor:
    """A trained model, ready for new audio.

    Args:
        folder: a checkpoint, or a training or target folder, whose best one is taken.
        problem: the class that trained it; None finds it by its name.
        device: auto, cpu, cuda, ...
    """

    def __init__(self, folder: str | Path, problem: Any = None, device: str = "auto"):
        from problems.base import Problem
        from problems.engine.training import pick_device

        self.folder, self.device = find(Path(folder)), pick_device(device)
        if problem is None:
            saved = read_json(self.folder / "model" / "problem.json")
            try:
                problem = Problem.get_class_from_name(saved["problem"])
            except CheckpointError:
                raise CheckpointError(
                    f"{self.folder} was trained by your own class {saved['problem']}, from {saved['file']}:"
                    f" run that file, or give problems.load(..., problem={saved['problem']})"
                ) from None
        self.problem = problem() if isinstance(problem, type) else problem
        self.model, self.task = self.problem.load_model_and_task(str(self.folder))
        self.task.to(self.device).eval()

    def predict(self, audio: Any) -> str:
        """The prediction for a file of any rate and channel count, or for a waveform (T,) at 16 kHz.

        Raises:
            AudioError: the file cannot be read.
        """
        import torch

        from dataset.audio import read
        from problems.engine.precision import numerics

        wav = audio if isinstance(audio, torch.Tensor) else read(audio)
        with numerics(deterministic=False, tf32=False):
            return self.problem.predict_wav(self.task, wav, str(self.device))
