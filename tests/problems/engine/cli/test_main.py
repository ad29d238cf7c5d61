"""The command line: verbs, words, exit codes, what is said and where it is kept."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import problems
from problems.asr import ASR
from problems.engine.cli.main import execute, parse
from problems.engine.runtime.errors import ConfigError, Interrupted, TrainingError
from tests.conftest import ROOT

ASR_COMMAND = [sys.executable, "-m", "problems.asr"]


def command(*words: str, cwd: Path = ROOT, module: str = "problems.asr", **kwargs) -> subprocess.CompletedProcess:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **kwargs.pop("env", {})}
    words = [sys.executable, "-m", module, *words]
    return subprocess.run(words, capture_output=True, text=True, cwd=cwd, env=environment, timeout=120, **kwargs)


# ---- words ----


def test_parse():
    configs, overrides = parse(
        ["--config", "a", "--x.y", "1", "--config=b", "z=2=3", "--fresh", "--traceback", "--n", "-5"], ["fresh"]
    )
    assert configs == ["a", "b"]
    assert overrides == [("x.y", "1"), ("z", "2=3"), ("fresh", "true"), ("n", "-5")]


def test_a_flag_takes_no_word_but_a_boolean():
    words = ["--fresh", "train.seed=1", "--fresh", "false", "--fresh"]
    assert parse(words, ["fresh"])[1] == [("fresh", "true"), ("train.seed", "1"), ("fresh", "false"), ("fresh", "true")]
    with pytest.raises(ConfigError, match="'perhaps' is not understood"):
        parse(["--fresh", "perhaps"], ["fresh"])


@pytest.mark.parametrize("words", [["--x"], ["--x", "--y", "1"], ["stray"], ["-x"], ["--"], ["--=3"], ["--config"]])
def test_words_that_are_not_understood(words):
    with pytest.raises(ConfigError, match="needs a value|not understood"):
        parse(words, [])


@pytest.mark.parametrize(
    "words, said",
    [
        (["rnu"], "there is no verb 'rnu' (did you mean run?)"),
        (["run", "stray"], "'stray' is not understood"),
        (["run", "--train.seed"], "--train.seed needs a value"),
        (["run", "--trian.seed=1"], "did you mean train.seed?"),
        (["run", "--start=3", "--stop=2"], "start 3 is after stop 2"),
        (["predict"], "predict needs --ckpt DIR"),
        (["predict", "--ckpt", "x"], "predict needs an audio file"),
        (["predict", "--ckpt", "x", "--nope", "y.wav"], "'--nope'"),
        (["config", "--config", "nope"], "there is no preset 'nope'"),
    ],
)
def test_wrong_usage_is_2_with_one_message(capsys, words, said):
    assert execute(ASR(), words) == 2
    out, err = capsys.readouterr()
    assert said in err and err.count("error:") == 1 and "Traceback" not in err and not out


def test_traceback_on_request(capsys):
    assert execute(ASR(), ["run", "--trian.seed=1", "--traceback"]) == 2
    err = capsys.readouterr().err
    assert "Traceback" in err and "did you mean train.seed?" in err


def test_no_words_is_help_and_2(capsys):
    assert execute(ASR(), []) == 2
    assert "usage:" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words", [["--help"], ["-h"], ["run", "--help"], ["run", "--train.seed", "1", "--help"], ["predict", "-h"],
              ["nope", "--help"], ["run", "--nope.x=1", "--help"]]
)  # fmt: skip
def test_help_anywhere(capsys, words):
    assert execute(ASR(), words) == 0
    assert "--train.total_steps" in capsys.readouterr().out


def test_a_checkpoint_that_is_not_there(capsys, tmp_path):
    assert execute(ASR(), ["predict", "--ckpt", str(tmp_path), "a.wav"]) == 1
    assert str(tmp_path) in capsys.readouterr().err


# ---- a run ----


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
    assert re.search(r"on test: WER [\d.]+%  CER [\d.]+%  loss [\d.]+$", result)
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
        said = str(error) if isinstance(error, Interrupted) else f"error: {error}"
        assert f"\n{said}\n" in err and "Traceback" not in err
        log = (tmp_path / "run/run.log").read_text()
        assert f"ERROR problems.engine.cli.main: {error}" in log and "raise self.error" in log


def test_a_full_disk_says_what_to_do(capsys, tiny, monkeypatch):
    monkeypatch.setattr(Buggy, "error", OSError(28, "No space left on device", "/full/file"))
    assert execute(Buggy(), ["run", *tiny]) == 1
    err = capsys.readouterr().err
    assert "error: No space left on device: /full/file; make room" in err and "Traceback" not in err


def test_ctrl_c(capsys, tiny, monkeypatch):
    monkeypatch.setattr(Buggy, "error", KeyboardInterrupt())
    assert execute(Buggy(), ["run", *tiny]) == 130
    assert "run the same command to continue" in capsys.readouterr().err


def test_logging_is_put_back(tiny):
    import logging

    before = list(logging.getLogger().handlers)
    execute(Buggy(), ["run", *tiny])
    assert logging.getLogger().handlers == before


def test_status_where_nothing_ran(capsys, tmp_path):
    assert execute(ASR(), ["status", f"--target_dir={tmp_path / 'none'}"]) == 0
    assert "nothing has run" in capsys.readouterr().out and not (tmp_path / "none").exists()


# ---- processes ----


def test_module_lists_the_problems():
    done = command(module="problems")
    assert done.returncode == 0 and all(f"python -m problems.{name}" in done.stdout for name in problems.NAMES)


def test_a_reader_that_stops_reading_is_no_error():
    for words in (["config"], ["--help"]):
        done = subprocess.run(
            ["bash", "-c", f"'{sys.executable}' -m problems.asr {' '.join(words)} | head -1; exit ${{PIPESTATUS[0]}}"],
            capture_output=True, text=True, cwd=ROOT,
        )  # fmt: skip
        assert done.stderr == "" and done.returncode in (0, 141)
    with subprocess.Popen(
        [*ASR_COMMAND, "config"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, text=True
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == "" and process.wait() == 141


@pytest.mark.parametrize("name", ["dataset", "nn", "tasks", "configs"])
@pytest.mark.parametrize("kind", ["package", "module"])
def test_somebody_elses_package_of_our_name_is_told_with_both_places(tmp_path, name, kind):
    path = tmp_path / name / "__init__.py" if kind == "package" else tmp_path / f"{name}.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text("theirs = True\n")
    done = command("config", cwd=tmp_path)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert str(path) in done.stderr and str(ROOT / name) in done.stderr and "rename" in done.stderr
    code = "import problems"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert "ImportError" in done.stderr and str(ROOT / name) in done.stderr


def test_plain_folders_of_our_names_are_in_nobodys_way(tmp_path):
    for name in ("dataset", "configs", "nn", "tasks"):
        (tmp_path / name).mkdir()
    (tmp_path / "configs/mine.yaml").write_text("train: {seed: 5}")
    done = command("config", "--config", "configs/mine.yaml", cwd=tmp_path)
    assert done.returncode == 0 and "seed: 5" in done.stdout, done.stderr


def test_a_users_own_file(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from problems.asr import ASR\nclass Mine(ASR):\n    summary = 'my own'\n"
        "if __name__ == '__main__':\n    Mine().main()\n"
    )
    done = subprocess.run([sys.executable, "mine.py", "--help"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0 and "python mine.py run" in done.stdout and "my own" in done.stdout
    assert "default, fsdd, librispeech" in done.stdout  # presets are inherited
    done = subprocess.run([sys.executable, "mine.py", "config"], capture_output=True, text=True, cwd=tmp_path)
    assert "target_dir: result/mine/default" in done.stdout
