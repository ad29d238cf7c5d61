"""Trainings from shards end bit for bit where trainings from single files end, killed ones too."""

from __future__ import annotations

import csv
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dataset.packing.pack import pack
from problems.asr import ASR
from problems.engine.checkpoints.store import steps_in
from problems.engine.cli.main import execute
from problems.engine.report.history import TIMES, read_history
from tests.conftest import tiny_options, write_table
from tests.end_to_end.test_resume import kill_when
from tests.parts.python import Python

SETS = ("train", "valid", "test")
SAMPLERS = {
    "random": "{name: random}",
    "bucket": "{name: bucket, batch_size: 3}",
    "duration": "{name: duration, max_seconds: 3}",
    "sorted": "{name: sorted, batch_size: 5}",
    "block": "{name: block, max_seconds: 4}",
    "balanced": "{name: balanced, conf: {column: group}}",
}
LONGER = [
    "--train.total_steps=24",
    "--train.save_step=3",
    "--train.eval_step=8",
    "--build_dataset.speeds=[0.9, 1.0, 1.1]",
]


def mixed_files(rows: list[dict[str, str]], folder: Path, name: str) -> list[dict[str, str]]:
    """The rows with a third of the audio as wav, a third as flac, and a third as parts of one long file in stereo."""
    long, seconds, changed = [], 0.0, []
    for number, row in enumerate(rows):
        samples, rate = soundfile.read(row["wav_path"], dtype="int16")
        row = {**row, "start_sec": "", "end_sec": "", "group": "ab"[number % 2]}
        if number % 3 == 1:
            row["wav_path"] = str(folder / f"{number}.flac")
            soundfile.write(row["wav_path"], samples, rate)
        elif number % 3 == 2:
            end = seconds + len(samples) / rate
            row |= {"wav_path": str(folder / f"{name} long.flac"), "start_sec": f"{seconds:g}", "end_sec": f"{end:g}"}
            long.append(samples)
            seconds = end
        changed.append(row)
    joined = np.concatenate(long)
    soundfile.write(folder / f"{name} long.flac", np.stack([joined, joined // 2], axis=1), 16000)
    return changed


@pytest.fixture(scope="module")
def data(tones, tmp_path_factory) -> Path:
    """A folder with CSVs of single files, and ``shards``."""
    folder = tmp_path_factory.mktemp("mixed")
    for name in SETS:
        with open(tones / f"{name}.csv", newline="", encoding="utf-8") as file:
            rows = [dict(row) for row in csv.DictReader(file)]
        audio = folder / name
        audio.mkdir()
        write_table(folder / f"{name}.csv", mixed_files(rows, audio, name))
    (folder / "run").mkdir()
    stage_0 = [*tiny_options(folder, folder), "--stop=0"]
    assert execute(ASR(), ["run", *stage_0]) == 0
    csvs = [folder / "run" / "data" / f"{name}.csv" for name in SETS]
    assert pack(csvs, folder / "shards", shard_bytes=100_000, num_workers=2).shards > 4
    return folder


def options(data: Path, folder: Path, *more: str, packed: bool) -> list[str]:
    words = [*tiny_options(data, folder), "--stop=2", *more]
    if not packed:
        return words
    words = [word for word in words if not word.startswith("--prepare_data")]
    return [*words, "--prepare_data.corpus=packed", f"--prepare_data.dataset_root={data / 'shards'}"]


def training(run: Path) -> tuple[bytes, list[dict]]:
    """The last weights of a training, and its history without times."""
    weights = (steps_in(run / "train")[-1] / "model" / "weights.safetensors").read_bytes()
    return weights, [{k: v for k, v in row.items() if k not in TIMES} for row in read_history(run / "train")]


def last_step(folder: Path) -> int:
    history = read_history(folder / "run" / "train")
    return history[-1]["step"] if history else 0


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_weights_are_those_of_single_files(sampler, data, tmp_path):
    trainings = []
    for packed in (False, True):
        folder = tmp_path / str(packed)
        words = options(data, folder, f"--build_batch_sampler.train={SAMPLERS[sampler]}", packed=packed)
        assert execute(ASR(), ["run", *words]) == 0
        trainings.append(training(folder / "run"))
    assert trainings[0] == trainings[1] and len(trainings[0][1]) > 3


def test_so_they_are_after_kills_and_with_workers(data, tmp_path):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}

    def start(name: str, packed: bool) -> Python:
        words = options(data, tmp_path / name, *LONGER, f"--num_workers={int(packed)}", packed=packed)
        output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return Python(["-m", "problems.asr", "run", *words], env=environment, **output)

    assert start("whole", packed=False).wait(120) == 0
    for step in (4, 13):
        assert kill_when(start("cut", packed=True), lambda least=step: last_step(tmp_path / "cut") >= least)
    assert start("cut", packed=True).wait(120) == 0
    assert training(tmp_path / "cut" / "run") == training(tmp_path / "whole" / "run")
