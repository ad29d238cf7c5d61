"""A training planned from its data: pure arithmetic, shown on the first screen."""

from __future__ import annotations

import pytest

from problems.asr import ASR
from problems.engine.checkpoints import store
from problems.engine.cli.main import execute
from problems.engine.loops.length import plan
from problems.engine.loops.length.plan import planned
from tests.parts.configs import refused, typed

AUTO = ("train.total_steps=auto", "train.eval_step=auto", "train.save_step=auto", "train.patience=auto")


@pytest.mark.parametrize(("steps_per_epoch", "total"), [(1, 1000), (33, 1000), (34, 1020), (100, 3000), (9999, 20000)])
def test_the_length_is_30_epochs_within_bounds(steps_per_epoch, total):
    train = planned(typed(*AUTO)["train"], steps_per_epoch)
    assert train["total_steps"] == total and train["eval_step"] == train["save_step"] == total / 10
    assert train["patience"] == 4


def test_only_auto_is_planned():
    train = typed("train.total_steps=70", "train.eval_step=auto", "train.save_step=null")["train"]
    assert planned(train, 5) == train | {"eval_step": 7}
    assert planned(typed("train.patience=auto")["train"], 5)["patience"] is None
    assert planned(typed(*AUTO, "train.valid_metric=null")["train"], 5)["patience"] is None
    assert "'auto'" in refused("train.total_steps=automatic")


def test_the_plan_is_on_the_first_screen_and_is_what_is_trained(tiny, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(plan, "LEAST_STEPS", 6)
    auto = [*tiny, *(f"--{word}" for word in AUTO), "--train.valid_metric=loss", "--stop=2"]

    def shown(epochs: int) -> str:
        assert execute(ASR(), ["run", *auto, f"--train.auto_epochs={epochs}"]) == 0
        lines = capfd.readouterr().err.splitlines()
        return next(line for line in lines if line.startswith("  training")).removeprefix("  training  ")

    ends = "of 4 utterances{}; ends after 4 validations without improvement"
    assert shown(2) == "2 epochs, but from 6 to 20,000 steps " + ends.format("")
    assert store.steps_in(tmp_path / "run" / "train")[-1].name == "step_00000012"
    assert shown(3) == "18 steps " + ends.format(", about 3.0 epochs")
    assert store.steps_in(tmp_path / "run" / "train")[-1].name == "step_00000018"
