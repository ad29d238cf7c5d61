"""Runs of the problems along time that are killed ten times, anywhere, end as one that was not."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import ROOT, write_table
from tests.problems.test_qbe import write_queries
from tests.problems.test_sd import write_recordings

KILLS = 10
TRAINING = ["--train.total_steps=24", "--train.eval_step=6", "--train.save_step=6", "--train.log_step=3"]


def prepared(name: str, tones: Path, folder: Path) -> list[str]:
    """The options of a short run of a problem, on data in ``folder``."""
    if name == "sd":
        for seed, split in enumerate(("train", "valid", "test")):
            write_table(folder / f"{split}.csv", write_recordings(folder / split, 6, seed))
        data = [f"--prepare_data.{split}={folder / split}.csv" for split in ("train", "valid", "test")]
        return ["--prepare_data.corpus=csv_turns", *data, *TRAINING, "--build_downstream.conf.hidden_size=[16]"]
    if name == "qbe":
        data = [f"--prepare_data.{split}={json.dumps(files)}" for split, files in write_queries(folder).items()]
        return ["--prepare_data.corpus=csv_queries", *data]
    for split in ("train", "valid", "test"):
        table = pd.read_csv(tones / f"{split}.csv")
        table["slots"] = [json.dumps([["last", text.split()[-1]]]) for text in table["transcription"]]
        table.to_csv(folder / f"{split}.csv", index=False)
    data = [f"--prepare_data.{split}={folder / split}.csv" for split in ("train", "valid", "test")]
    return ["--prepare_data.corpus=csv", *data, *TRAINING, "--build_downstream.conf.hidden_size=[16]"]


def command(name: str, options: list[str], folder: Path) -> list[str]:
    places = [f"--target_dir={folder / 'run'}", f"--cache_dir={folder / 'cache'}", "--num_workers=1"]
    return [sys.executable, "-m", f"problems.{name}", "run", *options, *places]


def digests(run: Path) -> dict[str, str]:
    """The content of what a run leaves, without its times."""
    contents = {}
    for pattern in ("data/*.csv", "train/step_*/**/*.safetensors", "evaluate/**/predictions.csv", "**/*.rttm"):
        for path in run.glob(pattern):
            contents[str(path.relative_to(run))] = hashlib.sha256(path.read_bytes()).hexdigest()
    for path in run.glob("evaluate/**/result.json"):
        result = {key: value for key, value in json.loads(path.read_text()).items() if key != "seconds"}
        contents[str(path.relative_to(run))] = json.dumps(result, sort_keys=True)
    return contents


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["pr", "sf", "sd", "qbe"])
def test_ten_kills_change_nothing(name, tones, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed, tmp_path / "data"):
        folder.mkdir()
    options = prepared(name, tones, tmp_path / "data")
    began = time.monotonic()
    done = subprocess.run(command(name, options, whole), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    seconds, rng = time.monotonic() - began, random.Random(name)
    for _ in range(KILLS):
        process = subprocess.Popen(
            command(name, options, killed), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            process.wait(rng.uniform(0.1, 0.8) * seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    done = subprocess.run(command(name, options, killed), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected = digests(whole / "run")
    assert expected and digests(killed / "run") == expected
