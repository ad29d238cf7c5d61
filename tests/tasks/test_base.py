"""Every task checks its mode, refuses an empty set, and predicts in evaluation mode alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tasks.base import Mode, StepOutput, Task


class Length(Task):
    """Predicts the number of samples."""

    def forward(self, mode, **batch):
        self.check_mode(mode)
        return StepOutput(torch.zeros(()), 1.0, {"id": batch["id"]})

    def measure(self, mode, records):
        return {"utterances": len(records["id"])}

    def infer(self, wav, wav_len):
        assert not torch.is_grad_enabled()
        return wav_len.tolist()


def test_a_mode_equals_its_name_and_others_are_refused():
    assert Mode.TRAIN == "train" and str(Mode.TEST) == "test"
    for call in (Length(nn.Identity()), Length(nn.Identity()).reduction):
        with pytest.raises(ValueError, match="unknown mode 'dev': expected one of train, valid, test"):
            call("dev", **({"id": ["a"]} if isinstance(call, Task) else {"records": {"id": ["a"]}}))


def test_training_records_have_no_metrics_and_an_empty_set_is_refused():
    task = Length(nn.Identity())
    assert task.reduction("train", {"id": ["a"]}) == {}
    assert task.reduction("valid", {"id": ["a", "b"]}) == {"utterances": 2}
    with pytest.raises(ValueError, match="no utterances to score in mode valid"):
        task.reduction("valid", {"id": []})


def test_predictions_need_evaluation_mode_and_no_gradients():
    task = Length(nn.Identity())
    with pytest.raises(RuntimeError, match=r"task.eval\(\)"):
        task.predict(torch.zeros(1, 3), torch.tensor([3]))
    assert task.eval().predict(torch.zeros(1, 3), torch.tensor([3])) == [3]


def test_the_default_state_is_empty_and_refuses_that_of_another_task():
    task = Task(nn.Identity())
    task.set_state(task.get_state())
    with pytest.raises(ValueError, match="centroids"):
        task.set_state({"centroids": [1.0]})


def test_a_missing_method_is_named():
    task = Task(nn.Identity()).eval()
    with pytest.raises(NotImplementedError, match="Task does not define forward"):
        task("train", wav=None)
    with pytest.raises(NotImplementedError, match="Task does not define measure"):
        task.reduction("valid", {"id": ["a"]})
    with pytest.raises(NotImplementedError, match="Task does not define infer"):
        task.predict(torch.zeros(1, 3), torch.tensor([3]))
