"""A checkpoint that is written while the training goes on holds the state of its step, or does not exist."""

from __future__ import annotations

import json
import signal
import subprocess
import threading

import pytest
import torch
from safetensors.torch import load_file

from dataset.storage.files import sweep
from problems.engine.checkpoints.background import BackgroundWriter, copied, deferring, later
from problems.engine.checkpoints.store import Checkpoints, damage, steps_in
from problems.engine.checkpoints.weights import save_tensors
from problems.engine.loops.state import training_state
from problems.engine.runtime.errors import CheckpointError
from tests.parts.python import Python


class Gate:
    """Holds back the thread that writes, until it is opened."""

    def __init__(self):
        self.event = threading.Event()

    def fill(self, *parts):
        def write(folder):
            later(lambda: self.event.wait(30))
            for part in parts:
                part(folder)

        return write


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path, {"wer min": ("wer", False, 1)}, keep_newest=None)


def published(folder):
    return json.loads((folder / "best.json").read_text())["wer min"]


def test_the_next_steps_do_not_change_what_is_written(tmp_path, checkpoints):
    weight, gate = torch.ones(3), Gate()
    state = {"optimizers": [{"held": {0: weight}}], "rates": [0.1]}
    parts = (
        lambda folder: save_tensors(folder / "w.safetensors", {"a": weight, "b": weight.view(3)}),
        lambda folder: training_state.write(state, folder),
    )
    checkpoints.start_saving(1, gate.fill(*parts))
    weight.zero_()
    state["rates"][0] = 0.2
    assert steps_in(tmp_path) == []
    gate.event.set()
    checkpoints.wait()
    (folder,) = steps_in(tmp_path)
    assert damage(folder) is None
    assert all(torch.equal(w, torch.ones(3)) for w in load_file(folder / "w.safetensors").values())
    saved = training_state.read(folder)
    assert torch.equal(saved["optimizers"][0]["held"][0], torch.ones(3)) and saved["rates"] == [0.1]


def test_checkpoints_are_completed_in_order_and_each_publishes_the_ranking_of_its_own_time(tmp_path, checkpoints):
    gate = Gate()
    checkpoints.rank(1, {"wer": 0.5})
    checkpoints.start_saving(1, gate.fill())
    checkpoints.rank(2, {"wer": 0.4})
    gate.event.set()
    checkpoints.wait()
    assert published(tmp_path) == ["step_00000001"], "that of step 2 is not there yet"
    checkpoints.start_saving(2, lambda folder: later(lambda: None))
    checkpoints.wait()
    assert published(tmp_path) == ["step_00000002"]


@pytest.mark.parametrize("at_the_end", [False, True])
def test_a_write_that_fails_is_raised_at_the_next_save_or_the_end_and_leaves_nothing(tmp_path, checkpoints, at_the_end):
    def full():
        raise OSError(28, "No space left on device")

    checkpoints.start_saving(1, lambda folder: later(full))
    with pytest.raises(CheckpointError, match="step_00000001: No space left.*Earlier checkpoints are intact"):
        checkpoints.wait() if at_the_end else checkpoints.start_saving(2, lambda folder: None)
    assert [*tmp_path.iterdir()] == []
    checkpoints.wait()  # it is raised once


def test_a_training_that_another_error_ends_completes_the_checkpoint_and_logs_a_failure(tmp_path, checkpoints, caplog):
    checkpoints.start_saving(1, lambda folder: later(lambda: None))
    checkpoints.writer.close()
    assert [folder.name for folder in steps_in(tmp_path)] == ["step_00000001"] and not caplog.text
    checkpoints.start_saving(2, lambda folder: later(lambda: 1 / 0))
    checkpoints.writer.close()
    assert "division by zero" in caplog.text


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from problems.engine.checkpoints.background import later
from problems.engine.checkpoints.store import Checkpoints
from problems.engine.checkpoints.weights import save_tensors

checkpoints = Checkpoints(Path(sys.argv[1]), {}, None)
checkpoints.save(1, lambda folder: save_tensors(folder / "w.safetensors", {"w": torch.ones(3)}))

def killed(folder):
    save_tensors(folder / "w.safetensors", {"w": torch.ones(3)})
    later(lambda: os.kill(os.getpid(), signal.SIGKILL))

checkpoints.start_saving(2, killed)
checkpoints.wait()
"""


def test_a_kill_while_it_is_written_leaves_no_torn_checkpoint(tmp_path):
    process = Python(["-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.communicate(60) == ("", "") and process.returncode == -signal.SIGKILL
    (folder,) = steps_in(tmp_path)
    assert folder.name == "step_00000001" and damage(folder) is None
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.json", "step_00000001"]


def test_outside_a_checkpoint_everything_is_written_at_once():
    written, deferred = [], []
    later(lambda: written.append(1))
    with deferring(deferred):
        later(lambda: written.append(2))
        with deferring(None):
            later(lambda: written.append(3))
    assert written == [1, 3] and len(deferred) == 1


def test_a_copy_is_equal_and_shares_nothing():
    class Own:
        values = [1]

    original = {"a": [torch.ones(2), (1, "x", None)], 3: {"b": 2.5}, "own": Own()}
    copy = copied(original)
    assert copy["a"][1] == (1, "x", None) and copy[3] == {"b": 2.5} and copy["own"] is not original["own"]
    original["a"][0].zero_(), original[3].clear(), original["a"].append(4)
    assert torch.equal(copy["a"][0], torch.ones(2)) and copy[3] == {"b": 2.5} and len(copy["a"]) == 2


def test_one_write_at_a_time():
    writer, order, gate = BackgroundWriter(), [], threading.Event()
    writer.start(lambda: (gate.wait(30), order.append(1)))
    threading.Timer(0.1, gate.set).start()
    writer.start(lambda: order.append(2))
    writer.wait()
    assert order == [1, 2]
