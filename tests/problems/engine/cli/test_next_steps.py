"""After a whole run, commands to try next; each is one that the command line takes."""

from __future__ import annotations

import shlex
import sys

import pytest

from problems.asr import ASR
from problems.engine.cli.main import execute
from problems.engine.cli.next_steps import next_steps
from tests.parts.configs import typed


@pytest.mark.parametrize(
    ("words", "longer"),
    [
        ((), "--train.total_steps 2000"),
        (("train.total_steps=auto",), "--train.auto_epochs 60"),
        (("train.total_steps=null", "train.epochs=4"), "--train.epochs 8"),
        (("budget=1.5m",), "--budget 180s"),
    ],
)
def test_training_on_doubles_what_decides_the_length(words, longer):
    _, train_on, _ = next_steps(ASR(), typed("target_dir=my run", *words))
    assert train_on == f"the same command with {longer}    # train on"


def test_they_follow_a_whole_run_and_predict_with_it(tiny, capfd, tones, tmp_path):
    def shown(*options: str) -> str:
        assert execute(ASR(), ["run", *tiny, *options]) == 0
        return capfd.readouterr().err.partition("next:")[2]

    assert shown("--stop=2") == "" and shown("--start=3") == ""
    predict, train_on, settings = shown("--fresh").strip().splitlines()
    words = shlex.split(predict, comments=True)
    assert words[1:4] == ["-m", "problems.asr", "predict"] and words[-2:] == ["a.wav", "b.wav"]
    assert execute(ASR(), [*words[3:-2], str(tones / "test" / "u000.wav")]) == 0
    assert "u000.wav" in capfd.readouterr().out
    assert "--train.total_steps 16" in train_on and "--help" in settings
    assert shown() == ""


@pytest.mark.parametrize(
    ("found", "shown"),
    [("same", "python -m"), (None, "venv/bin/python -m"), ("other", "venv/bin/python -m")],
)
def test_they_name_a_python_that_can_be_typed_here(tmp_path, monkeypatch, found, shown):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv" / "bin" / "python"))
    paths = {"same": sys.executable, "other": "/usr/bin/python", None: None}
    monkeypatch.setattr("shutil.which", lambda name: paths[found])
    assert next_steps(ASR(), typed("target_dir=run"))[0].startswith(f"{shown} problems.asr predict")
