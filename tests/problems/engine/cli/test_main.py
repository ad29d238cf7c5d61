"""The command line: verbs, exit codes, error messages, and the log that keeps them."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

import problems
from problems.asr import ASR
from problems.engine.cli.main import execute
from problems.engine.runtime.errors import ConfigError, Interrupted, TrainingError
from tests.parts.commands import command


@pytest.mark.parametrize(
    "words, message",
    [
        (["rnu"], "unknown verb 'rnu' (did you mean 'run'?)"),
        (["run", "stray"], "'stray' is not understood"),
        (["run", "--train.seed"], "--train.seed needs a value"),
        (["run", "--trian.seed=1"], "did you mean 'train.seed'?"),
        (["run", "--start=3", "--stop=2"], "start 3 is after stop 2"),
        (["predict"], "predict needs --ckpt DIR"),
        (["predict", "--ckpt", "x"], "predict needs an audio file"),
        (["predict", "--ckpt", "x", "--nope", "y.wav"], "unknown option '--nope'; expected --ckpt or --format"),
        (["config", "--config", "nope"], "unknown preset 'nope'"),
    ],
)
def test_wrong_usage_is_2_with_one_message(capsys, words, message):
    assert execute(ASR(), words) == 2
    out, err = capsys.readouterr()
    assert message in err and err.count("error:") == 1 and "Traceback" not in err and not out


def test_traceback_on_request(capsys):
    assert execute(ASR(), ["run", "--trian.seed=1", "--traceback"]) == 2
    err = capsys.readouterr().err
    assert "Traceback" in err and "did you mean 'train.seed'?" in err


def test_no_words_is_help_and_2(capsys):
    assert execute(ASR(), []) == 2
    assert "usage:" in capsys.readouterr().out


@pytest.mark.parametrize(
    "line",
    ["--help", "-h", "run --help", "run --train.seed 1 --help", "status -h", "nope --help", "run --nope.x=1 --help"],
)
def test_help_anywhere(capsys, line):
    assert execute(ASR(), line.split()) == 0
    assert "--train.total_steps" in capsys.readouterr().out


def test_a_checkpoint_that_is_not_there(capsys, tmp_path):
    assert execute(ASR(), ["predict", "--ckpt", str(tmp_path), "a.wav"]) == 1
    assert str(tmp_path) in capsys.readouterr().err


def test_a_run_and_after(capsys, tiny, tmp_path, tones):
    assert execute(ASR(), ["run", *tiny]) == 0
    captured = capsys.readouterr()
    assert "$ " not in captured.err  # the command itself is for the log
    log = (tmp_path / "run/run.log").read_text()
    assert "$ " in log and "stage 2: train" in log
    assert execute(ASR(), ["status", f"--target_dir={tmp_path / 'run'}"]) == 0
    status = capsys.readouterr().out
    assert status.count(" done") == 5 and "stale" not in status
    (result,) = [line for line in status.splitlines() if " on test: " in line]
    assert re.search(r"on test: WER [\d.]+%  CER [\d.]+%  word ECE .*%  loss [\d.]+$", result)
    wav = next((tones / "test").glob("*.wav"))
    assert execute(ASR(), ["predict", f"--ckpt={tmp_path / 'run'}", str(wav), str(tmp_path / "no.wav")]) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith(f"{wav}\t") and "no.wav" in captured.err and "Traceback" not in captured.err


class Buggy(ASR):
    """Its author made a mistake."""

    error: BaseException = KeyError("not there")

    def build_encoder(self, *args, get_path_only=False, **kwargs):
        if get_path_only:
            return super().build_encoder(*args, get_path_only=True, **kwargs)
        raise self.error


def test_a_bug_shows_its_traceback_and_is_logged(capsys, tiny, tmp_path):
    assert execute(Buggy(), ["run", *tiny]) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err and "raise self.error" in err
    log = (tmp_path / "run/run.log").read_text()
    assert "Traceback" in log and "raise self.error" in log


def test_a_users_mistake_is_one_message_and_its_traceback_is_in_the_log(capsys, tiny, tmp_path, monkeypatch):
    for error, code in ((TrainingError("what to do"), 1), (ConfigError("what to do"), 2), (Interrupted(15, "x"), 143)):
        monkeypatch.setattr(Buggy, "error", error)
        assert execute(Buggy(), ["run", *tiny]) == code
        err = capsys.readouterr().err
        message = str(error) if isinstance(error, Interrupted) else f"error: {error}"
        assert f"\n{message}\n" in err and "Traceback" not in err
        log = (tmp_path / "run/run.log").read_text()
        assert f"ERROR problems.engine.cli.main: {error}" in log and "raise self.error" in log


@pytest.mark.parametrize(("rank", "err"), [("0", "SIGTERM: x\n"), ("1", "")])
def test_the_main_process_alone_reports_an_interruption(capsys, monkeypatch, rank, err):
    def interrupted(*_):
        raise Interrupted(15, "SIGTERM: x")

    monkeypatch.setenv("RANK", rank)
    monkeypatch.setattr("problems.engine.cli.main._verb", interrupted)
    assert execute(ASR(), ["run"]) == 143
    assert capsys.readouterr().err == err


def test_ctrl_c(capsys, tiny, monkeypatch):
    monkeypatch.setattr(Buggy, "error", KeyboardInterrupt())
    assert execute(Buggy(), ["run", *tiny]) == 130
    assert "run the same command to continue" in capsys.readouterr().err


def test_module_lists_the_problems():
    done = command(module="problems")
    assert done.returncode == 0 and all(f"python -m problems.{name}" in done.stdout for name in problems.NAMES)


def test_a_users_own_file(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from problems.asr import ASR\nclass Mine(ASR):\n    summary = 'my own'\n"
        "if __name__ == '__main__':\n    Mine().main()\n"
    )
    done = subprocess.run([sys.executable, "mine.py", "--help"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0 and "python mine.py run" in done.stdout and "my own" in done.stdout
    assert "default, fsdd, joint" in done.stdout  # presets are inherited
    done = subprocess.run([sys.executable, "mine.py", "config"], capture_output=True, text=True, cwd=tmp_path)
    assert "target_dir: result/mine/default" in done.stdout
