"""torchrun leaves the options of a run alone, written as the messages and the documentation write them."""

from __future__ import annotations

import pytest
from torch.distributed.run import get_args_parser

from problems.asr import ASR
from problems.engine.cli.launch import launch
from problems.engine.cli.main import execute


def test_torchrun_takes_start_for_its_own_but_not_start_with_an_equals_sign(capsys):
    command = ["--nproc_per_node", "2", "-m", "problems.asr", "run"]
    assert get_args_parser().parse_args([*command, "start=2"]).training_script_args == ["run", "start=2"]
    with pytest.raises(SystemExit):
        get_args_parser().parse_args([*command, "--start", "2"])
    assert "--start" in capsys.readouterr().err


def test_a_message_under_torchrun_names_what_works_there(tiny, capsys, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    assert execute(ASR(), ["run", *tiny, "start=3"]) == 2
    assert "run it first: start=0 stop=4" in capsys.readouterr().err


def test_launch_hands_on_start(monkeypatch):
    launched = []
    monkeypatch.setattr("torch.distributed.run.run", launched.append)
    assert launch(ASR(), 2, ["--start", "2", "--train.seed=1"]) == 0
    assert launched[0].training_script == "problems.asr"
    assert launched[0].training_script_args == ["run", "--start", "2", "--train.seed=1"]
