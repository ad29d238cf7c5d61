"""A run as a job of a cluster: its ranks, its log, and what happens when it is preempted."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest
import torch

from problems.asr import ASR
from problems.engine.checkpoints.store import steps_in
from problems.engine.cli.arguments import resolve_config
from problems.engine.cli.main import execute
from problems.engine.cli.submit import GRACE, submit
from tests.conftest import ROOT

submitit = pytest.importorskip("submitit")

LOCAL = "--slurm={cluster: local, timeout_min: 5}"


def overrides(words: list[str]) -> list[tuple[str, str]]:
    return [tuple(word.removeprefix("--").split("=", 1)) for word in words]


def task_of(folder: Path) -> int:
    """The process of submitit that runs the job in a folder."""
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with contextlib.suppress(OSError):  # it has ended
                words = (path / "cmdline").read_bytes()
                if b"submitit.core._submit" in words and str(folder).encode() in words:
                    return int(path.name)
    raise AssertionError("no job runs")


@pytest.fixture
def in_root(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def test_a_job_runs_all_stages_in_the_processes_that_it_asks_for(tiny, tmp_path, in_root):
    words = [*tiny, "--nproc=2", "--launcher=slurm", LOCAL]
    job = submit(ASR(), resolve_config(ASR(), [], overrides(words)), words)
    assert job.results() == [None, None], job.stderr()
    assert (tmp_path / "run" / "report" / "report.html").exists()
    state = torch.load(steps_in(tmp_path / "run" / "train")[-1] / "training.pt", weights_only=True)
    assert len(state["rng"]) == 2


def test_a_preempted_job_saves_and_is_queued_again_to_continue(tiny, tmp_path, in_root):
    longer = ["--train.total_steps=150", "--train.eval_step=150", "--train.save_step=150"]
    words = [*tiny, *longer, "--launcher=slurm", LOCAL]
    job = submit(ASR(), resolve_config(ASR(), [], overrides(words)), words)
    history, deadline = tmp_path / "run" / "train" / "metrics.jsonl", time.monotonic() + 120
    while not (history.exists() and history.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    began = time.monotonic()
    os.kill(task_of(tmp_path), signal.SIGUSR2)  # as Slurm does, some time before it ends the job
    assert job.results() == [None], job.stderr()
    assert "training continues from step" in (tmp_path / "run" / "run.log").read_text("utf-8")
    assert time.monotonic() - began < GRACE
    assert (tmp_path / "run" / "report" / "report.html").exists()


def test_a_wrong_setting_is_refused_by_name(tiny, capsys, in_root):
    assert execute(ASR(), ["run", *tiny, "--launcher=slurm", "--slurm={cluster: local, nodez: 2}"]) == 2
    assert "nodez" in capsys.readouterr().err
