"""The checkpoint that a path means: itself, or the best one of a training or target folder."""

from __future__ import annotations

import pytest

from problems.engine.checkpoints import store
from problems.engine.checkpoints.find import find
from problems.engine.checkpoints.store import Checkpoints, Rule
from problems.engine.runtime.errors import CheckpointError


@pytest.fixture
def target(tmp_path):
    """A target folder whose training's best checkpoint is not the newest."""
    checkpoints = Checkpoints(tmp_path / "train", {"wer min": Rule("wer", False, 1)}, None)
    for step, wer in ((10, 0.2), (20, 0.5)):
        checkpoints.rank(step, {"wer": wer})
        checkpoints.save(step, lambda folder: (folder / "model").mkdir())
    return tmp_path


def test_a_checkpoint_is_itself_and_a_folder_of_them_means_the_best(target):
    train = target / "train"
    assert find(train / "step_00000020") == train / "step_00000020"
    assert find(train) == find(target) == train / "step_00000010"


def test_a_folder_without_checkpoints_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="is not a checkpoint and contains none.*step_00001000"):
        find(tmp_path)


def test_a_folder_of_checkpoints_is_not_called_a_damaged_one(target):
    with pytest.raises(CheckpointError, match="train is not a checkpoint; expected a folder like .*step_00001000"):
        store.require(target / "train")
    with pytest.raises(CheckpointError, match="nowhere does not exist; expected a folder like .*step_00001000"):
        store.require(target / "nowhere")


def test_a_damaged_checkpoint_is_refused(target):
    folder = target / "train" / "step_00000020"
    (folder / "manifest.json").unlink()
    with pytest.raises(CheckpointError, match="damaged: it has no manifest.json"):
        find(folder)
