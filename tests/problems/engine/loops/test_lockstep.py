"""Several trainings in one pass over the data: each as it would be alone, for the price of one upstream."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from problems.asr import ASR
from problems.benchmark.runs.one_pass import run_in_one_pass
from problems.engine.loops.lockstep import Lockstep, own_lane
from tests.conftest import ROOT, tiny_options
from tests.parts import tiny_encoder
from tests.parts.equality import equal

RATES = (0.01, 0.003, 0.0001)
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}

PROGRAM = """
import json, sys
from problems.asr import ASR
from problems.benchmark.runs.one_pass import run_in_one_pass
ends = run_in_one_pass(ASR, json.loads(sys.argv[1]))
sys.exit(max(end.code for end in ends))
"""


def run_words(tones: Path, folder: Path, rate: float, *more: str) -> list[str]:
    """A training with dropout and masks, on a frozen upstream whose states are not cached."""
    own = [option for option in tiny_options(tones, folder) if not option.startswith("--build_upstream")]
    return [
        *own,
        "--build_upstream.name=tests.parts.tiny_encoder:TinyEncoder",
        "--features.cache=off",
        f"--build_optimizer.conf.lr={rate}",
        f"--target_dir={folder / f'{rate:g}'}",
        "--train.total_steps=12",
        "--stop=2",
        *more,
    ]


def contents(folder: Path) -> dict[str, Any]:
    """The checkpoints of a training and their ranking, by name; what is pickled as what it holds."""
    paths = [path for path in (folder / "train").rglob("*") if "manifest" not in path.name]
    values = {path: path.read_bytes() for path in paths if path.suffix in (".safetensors", ".json")}
    for path in paths:
        if path.suffix == ".pt":
            values[path] = torch.load(path, weights_only=True)
            values[path].pop("total_steps")  # of a training that was given a shorter length first
    return {str(path.relative_to(folder)): value for path, value in values.items()}


def losses(folder: Path) -> list[tuple]:
    lines = (folder / "train" / "metrics.jsonl").read_text("utf-8").splitlines()
    return [(row["split"], row["step"], row["loss"]) for row in map(json.loads, lines)]


@pytest.fixture(scope="module")
def alone(tones, tmp_path_factory):
    """Each training by itself."""
    folder = tmp_path_factory.mktemp("alone")
    for rate in RATES:
        with pytest.raises(SystemExit) as end:
            ASR().main(["run", *run_words(tones, folder, rate)])
        assert end.value.code == 0
    return folder


def assert_same(folder: Path, alone: Path) -> None:
    for rate in RATES:
        one, other = contents(folder / f"{rate:g}"), contents(alone / f"{rate:g}")
        assert one.keys() == other.keys() and len(one) > 5
        different = [name for name in one if not equal(one[name], other[name])]
        assert not different
        assert losses(folder / f"{rate:g}") == losses(alone / f"{rate:g}")


def count_forwards(monkeypatch) -> list[int]:
    """The sizes of the batches whose states an upstream computes from now on."""
    sizes, plain = [], tiny_encoder.TinyEncoder.forward

    def forward(self, wav, wav_len):
        sizes.append(len(wav))
        return plain(self, wav, wav_len)

    monkeypatch.setattr(tiny_encoder.TinyEncoder, "forward", forward)
    return sizes


@pytest.mark.parametrize("workers", [0, 2])
def test_each_training_is_the_one_it_would_be_alone(tones, tmp_path, alone, monkeypatch, workers):
    sizes = count_forwards(monkeypatch)
    runs = [run_words(tones, tmp_path, rate, f"--num_workers={workers}") for rate in RATES]
    ends = run_in_one_pass(ASR, runs)
    assert [(end.code, end.message) for end in ends] == [(0, "")] * len(RATES)
    assert_same(tmp_path, alone)
    shared = len(sizes)
    sizes.clear()
    with pytest.raises(SystemExit):
        ASR().main(["run", *run_words(tones, tmp_path / "one more", RATES[0])])
    assert shared == len(sizes)  # three trainings ask as much of the upstream as one


def test_trainings_that_stop_at_different_steps_go_on_to_the_same_end(tones, tmp_path, alone):
    for rate, steps in zip(RATES, (4, 8, 12)):
        with pytest.raises(SystemExit) as end:
            ASR().main(["run", *run_words(tones, tmp_path, rate, f"--train.total_steps={steps}")])
        assert end.value.code == 0
    runs = [run_words(tones, tmp_path, rate) for rate in RATES]
    assert [end.code for end in run_in_one_pass(ASR, runs)] == [0, 0, 0]
    assert_same(tmp_path, alone)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_pass_that_is_stopped_goes_on_to_the_same_end(tones, tmp_path, alone, number):
    runs = [run_words(tones, tmp_path, rate) for rate in RATES]
    command = [sys.executable, "-c", PROGRAM, json.dumps(runs)]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, **QUIET)
    while not (tmp_path / f"{RATES[1]:g}" / "train" / "metrics.jsonl").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(number)
    code = process.wait(60)
    assert code in ((143, 0) if number == signal.SIGTERM else (-9, 0))
    assert [end.code for end in run_in_one_pass(ASR, runs)] == [0, 0, 0]
    assert_same(tmp_path, alone)


def test_a_training_that_fails_costs_the_others_nothing(tones, tmp_path, alone):
    runs = [run_words(tones, tmp_path, rate) for rate in RATES]
    runs.insert(1, run_words(tones, tmp_path, 0.5, "--build_downstream.conf.hidden_size=[-3]"))
    ends = run_in_one_pass(ASR, runs)
    assert [end.code == 0 for end in ends] == [True, False, True, True]
    assert "hidden_size" in ends[1].message
    assert "hidden_size" in (tmp_path / "0.5" / "run.log").read_text("utf-8")
    assert "hidden_size=[-3]" not in (tmp_path / f"{RATES[0]:g}" / "run.log").read_text("utf-8")
    assert_same(tmp_path, alone)


def test_every_lane_has_random_generators_and_settings_of_its_own():
    drawn: dict[int, list[float]] = {0: [], 1: []}

    def lane(seed: int) -> None:
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(bool(seed))
        for step in range(3):
            own_lane().reach((0, step))
            assert torch.are_deterministic_algorithms_enabled() == bool(seed)
            drawn[seed].append(torch.rand(()).item())

    assert Lockstep().run([lambda: lane(0), lambda: lane(1)]) == [None, None]
    torch.use_deterministic_algorithms(False)
    for seed, values in drawn.items():
        torch.manual_seed(seed)
        assert values == torch.stack([torch.rand(()) for _ in range(3)]).tolist()


def test_trainings_with_other_batches_or_other_layers_do_not_share_them(tones, tmp_path):
    variants = {
        "plain": [],
        "seed": ["--train.seed=1"],
        "last": ["--build_featurizer.layer_selections=last"],
        "again": ["--build_optimizer.conf.lr=0.003"],
    }
    for folder in ("alone", "together"):
        runs = [
            run_words(tones, tmp_path / folder, 0.01, *more, "--features.cache=disk", f"--target_dir={name}")
            for name, more in ((str(tmp_path / folder / name), more) for name, more in variants.items())
        ]
        if folder == "together":
            assert [end.code for end in run_in_one_pass(ASR, runs)] == [0] * len(variants)
        else:
            assert [end.code for run in runs for end in run_in_one_pass(ASR, [run])] == [0] * len(variants)
    for name in variants:
        one, other = (contents(tmp_path / folder / name) for folder in ("together", "alone"))
        assert one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one), name
