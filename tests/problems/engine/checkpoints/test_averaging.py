"""The average: of which checkpoints, and its value; whole runs are averaged in tests/end_to_end."""

from __future__ import annotations

import math

import pytest
import torch
from safetensors.torch import load_file, save_file

from problems.engine.checkpoints import averaging, store, weights, writing
from problems.engine.checkpoints.store import Checkpoints, Rule
from problems.engine.runtime.checkpoint_names import step_of
from problems.engine.runtime.errors import CheckpointError


def write(folder, names) -> None:
    writing.write(folder, lambda f: store.write_json(f / averaging.MEMBERS, {"of": names, "metrics": {}}))


@pytest.fixture
def checkpoints(tmp_path):
    """Three of them; the best by the primary rule are 30 and 10."""
    rules = {"wer min": Rule("wer", False, 2), "loss min": Rule("loss", False, 1)}
    checkpoints = Checkpoints(tmp_path, rules, None)
    for step, wer in ((10, 0.3), (20, 0.4), (30, 0.2)):
        checkpoints.rank(step, {"wer": wer, "loss": -step})
        checkpoints.save(step, lambda folder: (folder / "model").mkdir())
    return checkpoints


def steps(folders) -> list[int]:
    return [step_of(folder) for folder in folders]


def test_members_are_the_best_of_the_primary_rule_or_the_newest(checkpoints):
    folder = checkpoints.train_dir
    assert steps(averaging.members(folder, "best")) == [30, 10]
    assert steps(averaging.members(folder, "newest", 2)) == [30, 20]
    assert steps(averaging.members(folder, "newest")) == [30, 20, 10]


def test_an_interim_checkpoint_is_not_a_member(checkpoints):
    checkpoints.save(33, lambda folder: None, interim=True)
    assert steps(averaging.members(checkpoints.train_dir, "newest", 2)) == [30, 20]


def test_a_damaged_member_is_refused(checkpoints):
    (checkpoints.train_dir / "step_00000010" / store.MANIFEST).unlink()
    with pytest.raises(CheckpointError, match="step_00000010 is damaged"):
        averaging.members(checkpoints.train_dir, "best")


def test_without_a_ranking_there_is_no_best_to_average(tmp_path):
    checkpoints = Checkpoints(tmp_path, {"wer min": Rule("wer", False, 1)}, None)
    checkpoints.rank(10, {"wer": math.nan})
    checkpoints.save(10, lambda folder: None)
    with pytest.raises(CheckpointError, match="train.average best: there is no such checkpoint.*use newest"):
        averaging.members(tmp_path, "best")


def test_an_average_is_known_by_its_members(tmp_path):
    write(tmp_path / "average", ["step_2", "step_1"])
    assert averaging.is_of(tmp_path / "average", ["step_2", "step_1"])
    assert not averaging.is_of(tmp_path / "average", ["step_2"])
    assert not averaging.is_of(tmp_path / "nowhere", ["step_2"])
    (tmp_path / "average" / averaging.MEMBERS).write_text("{}")
    assert not averaging.is_of(tmp_path / "average", ["step_2", "step_1"])


def test_the_mean_is_that_of_floating_point_tensors_in_their_own_type(tmp_path):
    values = [torch.tensor([1.0, 4.0], dtype=torch.float16), torch.tensor([2.0, 8.0], dtype=torch.float16)]
    for number, value in enumerate(values):
        save_file({"w": value, "count": torch.tensor(number + 5)}, tmp_path / f"{number}.safetensors")
    mean = averaging.mean_of([tmp_path / "0.safetensors", tmp_path / "1.safetensors"])
    assert torch.equal(mean["w"], torch.tensor([1.5, 6.0], dtype=torch.float16)) and mean["count"].item() == 5


def test_the_mean_of_checkpoints_is_written_as_a_whole_one(tmp_path):
    def fill(value):
        def fill_folder(folder) -> None:
            for part in ("model", "task"):
                (folder / part).mkdir()
            save_file({"w": torch.full((2,), value)}, folder / "model" / weights.WEIGHTS)

        return fill_folder

    folders = [tmp_path / name for name in ("step_00000002", "step_00000001")]
    for folder, value in zip(folders, (3.0, 1.0)):
        writing.write(folder, fill(value))
    averaging.write_mean(folders, tmp_path / averaging.NAME)
    assert averaging.is_of(tmp_path / averaging.NAME, [folder.name for folder in folders])
    assert load_file(tmp_path / averaging.NAME / "model" / weights.WEIGHTS)["w"].tolist() == [2.0, 2.0]
