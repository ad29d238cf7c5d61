"""Whole runs (stages 0-4, cached features, an average) that are interrupted anywhere end as one that was not."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
import torch

from problems.engine.report.history import TIMES
from tests.parts.equality import equal
from tests.parts.python import Python

SIGNALS = [signal.SIGTERM, signal.SIGTERM, signal.SIGINT, signal.SIGKILL]
ENDED = {0, 128 + signal.SIGTERM, 128 + signal.SIGINT, -signal.SIGKILL, -signal.SIGTERM}
"""Exit codes; -SIGTERM is a process that has not begun to handle signals yet."""
OPTIONS = [
    "--build_dataset.speeds=[1.0]", "--train.total_steps=40", "--train.eval_step=5", "--train.save_step=7",
    "--train.log_step=3", "--train.gradient_accumulate=2", "--train.use_scheduler=true",
    "--train.keep_num_ckpts=2", "--train.keep_best_ckpts=2", "--features.cache=disk", "--test_ckpt_dir=average",
]  # fmt: skip


PROGRAM = """
import os, sys
code = 130  # of a Ctrl-C before the run can answer it
try:
    from problems.engine.cli.main import execute
    from tests.parts.frozen_asr import FrozenASR
    code = execute(FrozenASR(), sys.argv[1:])
finally:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # a signal after the run would interrupt what Python does at exit
"""


class Runs:
    """Whole runs of one command, each with a target folder and a cache of its own."""

    def __init__(self, folder: Path, options: list[str]):
        self.folder, self.options = folder, options

    def run(self, name: str, signal_number: int = 0, after: float = 0.0) -> int:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        arguments = ["run", *self.options, f"--target_dir={folder / 'run'}", f"--cache_dir={folder / 'cache'}"]
        with open(folder / "log", "ab") as log:
            process = Python(["-c", PROGRAM, *arguments], stdout=log, stderr=subprocess.STDOUT)
        timer = threading.Timer(after, process.send_signal, [signal_number])
        if signal_number:
            timer.start()
        try:
            return process.wait(120)
        finally:
            timer.cancel()

    def finish(self, name: str) -> None:
        assert self.run(name) == 0, self.log(name)[-3000:]

    def log(self, name: str) -> str:
        return (self.folder / name / "log").read_text()

    def left(self, name: str) -> dict[str, object]:
        """The content of each file that a run leaves, without paths and times."""
        root = self.folder / name / "run"
        files = [p for part in ("data", "encoder", "train", "evaluate") for p in (root / part).rglob("*")]
        files += root.glob(".*.tmp")
        ignored = ("manifest.json", "config.yaml", "fingerprint.json")
        names = {p.relative_to(root).as_posix(): p for p in files if p.is_file() and p.name not in ignored}
        return {name: content(path) for name, path in names.items() if not name.startswith("train/tb/")}

    def differing(self, one: str, other: str) -> list[str]:
        """The files that two runs left different, or that one of them alone left."""
        a, b = self.left(one), self.left(other)
        return [name for name in sorted({*a, *b}) if name not in a or name not in b or not equal(a[name], b[name])]


def content(path: Path) -> object:
    if path.suffix == ".pt":
        return torch.load(path, weights_only=True)
    if path.name == "metrics.jsonl":
        return [{k: v for k, v in json.loads(row).items() if k not in TIMES} for row in path.read_text().splitlines()]
    if path.name == "result.json":
        return {k: v for k, v in json.loads(path.read_text()).items() if k != "seconds"}
    return path.read_bytes()


@pytest.fixture
def runs(tiny, tmp_path):
    """Makes runs with further options; the undisturbed one is called ``whole``."""

    def make(*more: str) -> Runs:
        drop = ("--target_dir", "--cache_dir", "--build_upstream")
        runs = Runs(tmp_path, [*(o for o in tiny if not o.startswith(drop)), *OPTIONS, *more])
        runs.finish("whole")
        return runs

    return make


def interrupt(runs: Runs, name: str, seconds: float, draw: random.Random, most: int) -> list[str]:
    """Type the command again and again, with a signal at a random instant each time, until it ends."""
    sent = []
    for _ in range(most):
        number, after = draw.choice(SIGNALS), draw.uniform(0, seconds)
        code = runs.run(name, number, after)
        sent.append(f"{signal.Signals(number).name} after {after:.2f} s: {code}")
        assert code in ENDED and "Traceback" not in runs.log(name), f"{sent}\n{runs.log(name)[-3000:]}"
        if code == 0:
            return sent
    runs.finish(name)
    return sent


def interrupted_runs(runs: Runs, trials: int, seed: int) -> None:
    draw = random.Random(seed)
    began = time.monotonic()
    runs.finish("again")
    seconds = time.monotonic() - began  # of a run, so that signals come at any of its instants
    assert runs.differing("whole", "again") == []
    for trial in range(trials):
        name = f"cut{trial}"
        sent = interrupt(runs, name, seconds, draw, most=4)
        assert runs.differing("whole", name) == [], f"trial {trial}: {sent}\n{runs.log(name)}"
        shutil.rmtree(runs.folder / name)


def test_interrupted_anywhere(runs):
    interrupted_runs(runs("--train.average=newest"), trials=2, seed=0)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("average", ["best", "newest"])
def test_interrupted_anywhere_many_times(runs, average):
    interrupted_runs(runs(f"--train.average={average}"), trials=6, seed=1)


def test_temporary_files_of_killed_writers_are_removed(runs):
    done = runs("--train.average=best")
    root = done.folder / "whole" / "run"
    (result,) = root.glob("evaluate/*/*")
    leftovers = [root / ".stages.json.1.tmp", result / ".result.json.1.tmp", root / "train" / ".step_00000007.1.tmp"]
    leftovers += [result / "part-0.jsonl", result.parent / ".records" / "test.jsonl"]
    leftovers += [root / "report" / "test" / ".worst_word_errors.csv.1.tmp"]
    for path in leftovers:
        path.parent.mkdir(exist_ok=True)
        path.write_text("half")
    done.finish("whole")
    assert [path for path in leftovers if path.exists()] == []


def test_training_that_is_done_leaves_the_same_when_it_is_run_again(runs):
    """As after a kill between the average and the end of stage 2."""
    done = runs("--train.average=best")
    before = done.left("whole")
    done.options += ["--start=2", "--stop=2"]
    done.finish("whole")
    after = done.left("whole")
    assert [name for name in before if not equal(before[name], after[name])] == []
