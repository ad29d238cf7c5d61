"""A task's own weights and state come back; what a checkpoint cannot hold is refused by name."""

from __future__ import annotations

import math

import pytest
import torch

from problems.engine.checkpoints.task_state import load_task, save_task
from problems.engine.runtime.errors import CheckpointError, ConfigError
from tasks.base import Task


class Counting(Task):
    """A task with weights and a state of its own, as a margin loss has them."""

    def __init__(self, model):
        super().__init__(model)
        self.centres = torch.nn.Parameter(torch.zeros(2, 3))
        self.state = {}

    def get_state(self):
        return self.state

    def set_state(self, state):
        self.state = dict(state)


def test_a_task_keeps_its_own_weights_and_state(tmp_path):
    task = Counting(torch.nn.Linear(3, 3))
    torch.nn.init.normal_(task.centres)
    running = torch.arange(6.0).reshape(2, 3)
    task.state = {"means": running, "view": running[0], "best": math.inf, "name": "nul ⁇", "seen": [1, 2]}
    save_task(tmp_path, task)
    loaded = Counting(torch.nn.Linear(3, 3))
    load_task(tmp_path, loaded)
    assert torch.equal(loaded.centres, task.centres)
    assert torch.equal(loaded.state["means"], running) and torch.equal(loaded.state["view"], running[0])
    assert {k: v for k, v in loaded.state.items() if not isinstance(v, torch.Tensor)} == {
        "best": math.inf,
        "name": "nul ⁇",
        "seen": [1, 2],
    }
    assert not list(tmp_path.glob("*model*")), "the model's weights are saved with the model"


@pytest.mark.parametrize("value", [{1: "number as key"}, {"set"}, object()])
def test_a_state_that_json_would_change_is_refused_by_name(tmp_path, value):
    task = Counting(torch.nn.Linear(3, 3))
    task.state = {"queue": value}
    with pytest.raises(ConfigError, match="'queue'"):
        save_task(tmp_path, task)


def test_weights_of_another_task_are_refused_naming_them(tmp_path):
    task = Counting(torch.nn.Linear(3, 3))
    save_task(tmp_path, task)
    task.centres = torch.nn.Parameter(torch.zeros(5, 3))
    with pytest.raises(CheckpointError, match="do not fit this task.*centres"):
        load_task(tmp_path, task)
