"""Runs that are really killed, and end bit for bit where a run that was never interrupted ends."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

from problems.engine.checkpoints.store import steps_in
from problems.engine.report.history import TIMES, read_history
from tests.conftest import tiny_options
from tests.parts.equality import equal
from tests.parts.python import Python

SLOWED = '''
import os, pathlib, time
from problems.asr import ASR

class SlowedASR(ASR):
    """ASR whose checkpoints and validations take long enough to be hit by a kill."""

    def save_model(self, save_model, model_ckpt_dir, build_model_all_args, model):
        super().save_model(save_model, model_ckpt_dir, build_model_all_args, model)
        time.sleep(float(os.environ.get("SLOW_SAVE", 0)))

    def evaluate(self, evaluate, mode, **arguments):
        marker = pathlib.Path(os.environ["MARKER"])
        marker.write_text(mode)
        time.sleep(float(os.environ.get("SLOW_EVALUATE", 0)))
        metrics = super().evaluate(evaluate, mode, **arguments)
        marker.unlink()
        return metrics

if __name__ == "__main__":
    SlowedASR().main()
'''
LONGER = [
    "--train.total_steps=30", "--train.eval_step=7", "--train.save_step=4", "--train.log_step=3",
    "--train.gradient_accumulate=2", "--train.keep_num_ckpts=2", "--train.use_scheduler=true",
    "--build_dataset.speeds=[0.9, 1.0, 1.1]", "--num_workers=1", "--stop=2",
]  # fmt: skip


class Runs:
    """Starts runs of the slowed recogniser in one folder; ``whole`` is the training to compare with."""

    def __init__(self, tmp_path: Path, options: list[str], whole: Path | None = None):
        self.folder, self.options, self.whole = tmp_path, [*options, *LONGER], whole
        self.file, self.marker = tmp_path / "slowed_asr.py", tmp_path / "marker"
        self.file.write_text(SLOWED)

    def start(self, name: str, *more: str, **env: str) -> Python:
        environment = os.environ | {"MARKER": str(self.marker), "OMP_NUM_THREADS": "1"} | env
        options = [o for o in self.options if not o.startswith("--target_dir")]
        words = [self.file, "run", *options, f"--target_dir={self.folder / name}", *more]
        with open(self.folder / f"{name}.log", "ab") as log:
            return Python(words, stdout=log, stderr=log, env=environment)

    def finish(self, name: str, *more: str) -> None:
        assert self.start(name, *more).wait(120) == 0, (self.folder / f"{name}.log").read_text()[-3000:]

    def train_dir(self, name: str) -> Path:
        return self.folder / name / "train"


def until(condition, process, seconds=60.0):
    """Wait for ``condition()``; False where the process ended first."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        if process.poll() is not None:
            return False
        time.sleep(0.002)
    raise AssertionError("waited too long")


def kill_when(process, condition) -> bool:
    """SIGKILL the process at the moment of ``condition``; False where it ended before."""
    if not until(condition, process):
        return False
    process.kill()
    code = process.wait(30)
    if code == 0:  # it ended between the look and the kill
        return False
    assert code == -signal.SIGKILL
    return True


def assert_same_training(one: Path, other: Path) -> None:
    last, other_last = steps_in(one)[-1], steps_in(other)[-1]
    assert last.name == other_last.name == "step_00000030"
    weights = [(p / "model" / "weights.safetensors").read_bytes() for p in (last, other_last)]
    assert weights[0] == weights[1]
    states = [torch.load(p / "training.pt", weights_only=True) for p in (last, other_last)]
    for key in states[0]:
        assert equal(states[0][key], states[1][key]), key
    histories = [[{k: v for k, v in row.items() if k not in TIMES} for row in read_history(p)] for p in (one, other)]
    assert histories[0] == histories[1] and len(histories[0]) == 15
    assert json.loads((one / "best.json").read_text()) == json.loads((other / "best.json").read_text())


@pytest.fixture(scope="module")
def whole(tones, tmp_path_factory) -> Path:
    """The training that was never interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    Runs(folder, tiny_options(tones, folder)).finish("run")
    return folder / "run" / "train"


@pytest.fixture
def runs(whole, tiny, tmp_path):
    return Runs(tmp_path, tiny, whole)


def kill_once(runs, kind: str, wait: float) -> bool:
    """Start the run that is cut and kill it at a moment of the given kind; False where it came to its end first."""
    slow = {"writing": {"SLOW_SAVE": "0.3"}, "validating": {"SLOW_EVALUATE": "0.3"}}.get(kind, {})
    train_dir = runs.train_dir("cut")
    before = read_history(train_dir)[-1:] if train_dir.exists() else []
    runs.marker.unlink(missing_ok=True)
    process = runs.start("cut", **slow)
    if kind == "writing":
        return kill_when(process, lambda: any(train_dir.glob(".step_*.tmp")))
    if kind == "validating":
        return kill_when(process, runs.marker.exists)
    if not until(lambda: read_history(train_dir)[-1:] != before, process):
        return False
    time.sleep(wait)
    return kill_when(process, lambda: True)


def chain(runs, kills, seed):
    """Kill one run again and again until all ``kills`` are done; the end is compared. Counts of each kind."""
    chance, counts, left = random.Random(seed), dict.fromkeys(kills, 0), list(kills)
    while left:
        if kill_once(runs, left[0], chance.uniform(0, 0.6)):
            counts[left.pop(0)] += 1
        else:  # the training came to its end: begin another
            assert_same_training(runs.whole, runs.train_dir("cut"))
            os.rename(runs.folder / "cut", runs.folder / f"cut-{time.time_ns()}")
    runs.finish("cut")
    assert_same_training(runs.whole, runs.train_dir("cut"))
    return counts


def test_killed_while_writing_validating_and_anywhere(runs):
    kills = ["writing", "validating", "anywhere"]
    assert chain(runs, kills, seed=1) == {"writing": 1, "validating": 1, "anywhere": 1}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_thirty_kills(runs):
    kills = ["writing", "anywhere", "validating"] * 10
    assert chain(runs, kills, seed=2) == {"writing": 10, "validating": 10, "anywhere": 10}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_writes_a_checkpoint_and_ends_with_its_code(runs, number, code):
    process = runs.start("cut", SLOW_SAVE="0.05")
    train_dir = runs.train_dir("cut")
    assert until(lambda: len(read_history(train_dir)) >= 2, process)
    process.send_signal(number)
    assert process.wait(30) == code
    saved = torch.load(steps_in(train_dir)[-1] / "training.pt", weights_only=True)["progress"]["step"]
    assert saved >= read_history(train_dir)[-1]["step"]  # nothing that was done is lost
    assert "run the same command to continue" in (runs.folder / "cut.log").read_text()
    runs.finish("cut")
    assert_same_training(runs.whole, train_dir)


def test_a_signal_in_a_validation_saves_the_step_and_validates_it_after(runs):
    process = runs.start("cut", SLOW_EVALUATE="3")
    assert until(lambda: steps_in(runs.train_dir("cut")) and runs.marker.exists(), process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 143
    assert [p.name for p in steps_in(runs.train_dir("cut"))] == ["step_00000004", "step_00000007"]
    runs.finish("cut")
    assert_same_training(runs.whole, runs.train_dir("cut"))


def test_a_signal_to_the_whole_group_is_answered_by_the_main_process_alone(runs):
    """A terminal's Ctrl-C and a cluster's SIGTERM reach the loader's workers too."""
    environment = os.environ | {"MARKER": str(runs.marker), "OMP_NUM_THREADS": "1", "SLOW_SAVE": "0.05"}
    options = [o for o in runs.options if not o.startswith("--target_dir")]
    words = [runs.file, "run", *options, f"--target_dir={runs.folder / 'cut'}"]
    process = Python(words, env=environment, start_new_session=True, stderr=subprocess.PIPE)
    assert until(lambda: len(read_history(runs.train_dir("cut"))) >= 2, process)
    os.killpg(process.pid, signal.SIGTERM)
    stderr = process.communicate(timeout=30)[1]
    assert process.returncode == 143 and "Traceback" not in stderr
    runs.finish("cut")
    assert_same_training(runs.whole, runs.train_dir("cut"))


def test_a_damaged_newest_checkpoint_costs_its_steps_and_nothing_else(runs):
    process = runs.start("cut", SLOW_SAVE="0.1")
    train_dir = runs.train_dir("cut")
    assert kill_when(process, lambda: len(steps_in(train_dir)) >= 2)
    newest = steps_in(train_dir)[-1]
    file = newest / "model" / "weights.safetensors"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 8
    file.write_bytes(content)
    runs.finish("cut")
    assert f"{newest} IS DAMAGED" in (runs.folder / "cut.log").read_text()
    assert_same_training(runs.whole, train_dir)


def test_another_number_of_workers_goes_on_the_same(runs):
    process = runs.start("cut", SLOW_SAVE="0.1")
    assert kill_when(process, lambda: len(steps_in(runs.train_dir("cut"))) >= 2)
    runs.finish("cut", "--num_workers=0")
    assert_same_training(runs.whole, runs.train_dir("cut"))
