"""``predict`` computes as Python's predictor does."""

from __future__ import annotations

import torch

from problems.engine.cli.main import execute


class Reports:
    """A problem whose predictions are the numerics under which they are computed."""

    def load_model_and_task(self, ckpts_dir):
        return torch.nn.Identity(), torch.nn.Identity()

    def predict_files(self, task, paths, device):
        for path in paths:
            yield path, f"{device} {torch.backends.cudnn.allow_tf32} {torch.backends.cuda.matmul.allow_tf32}"


def test_predictions_are_computed_without_tf32(capsys, monkeypatch):
    monkeypatch.setattr("problems.engine.checkpoints.find.find", lambda path: path)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)  # torch's default
    assert execute(Reports(), ["predict", "--ckpt", "x", "--device=cpu", "a.wav", "b=c.wav"]) == 0
    assert capsys.readouterr().out == "a.wav\tcpu False False\nb=c.wav\tcpu False False\n"
    assert torch.backends.cudnn.allow_tf32
