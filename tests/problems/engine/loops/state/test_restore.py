"""The messages of a training that continues."""

from __future__ import annotations

from problems.asr import ASR
from problems.engine.checkpoints.store import steps_in
from problems.engine.cli.main import execute


def test_a_training_that_early_stopping_has_ended_says_why_nothing_is_trained(tiny, tmp_path, capfd):
    stops = [*tiny, "--train.patience=1", "--train.threshold=0.99", "--stop=2"]
    assert execute(ASR(), ["run", *stops, "--train.total_steps=40"]) == 0
    last = steps_in(tmp_path / "run" / "train")[-1].name
    assert last != "step_00000040"
    capfd.readouterr()
    assert execute(ASR(), ["run", *stops, "--train.total_steps=80"]) == 0
    text = capfd.readouterr().err
    assert "nothing more is trained, as early stopping ended it; --train.patience null trains on" in text
    assert steps_in(tmp_path / "run" / "train")[-1].name == last
