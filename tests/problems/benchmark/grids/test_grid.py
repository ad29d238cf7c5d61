"""A grid file: every run in its folder, means over seeds and folds, failures apart, and nothing done twice."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest
from scipy import stats

from problems.__main__ import main
from problems.benchmark.grids.file import read_grid
from problems.benchmark.grids.table import interval_of_mean
from problems.engine.config import yaml_text
from tests.conftest import ROOT, tiny_options


def grid_of(tones: Path, folder: Path, **changes) -> Path:
    """A grid of asr on the tones, at two learning rates and two seeds."""
    common: dict = {}
    for option in tiny_options(tones, folder):
        key, _, value = option.removeprefix("--").partition("=")
        *parents, last = key.split(".")
        node = common
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = yaml_text.load(value)
    common.pop("target_dir")
    tree = {
        "target_dir": str(folder / "all"),
        "common": common,
        "problems": {"asr": None},
        "over": {"build_optimizer.conf.lr": [0.01, 0.001], "train.seed": [0, 1]},
    }
    path = folder / "grün 1.yaml"
    path.write_text(yaml_text.dump(tree | changes), "utf-8")
    return path


@pytest.fixture(scope="module")
def finished(tones, tmp_path_factory):
    folder = tmp_path_factory.mktemp("grid")
    assert main(["run", str(grid_of(tones, folder))]) == 0
    return folder


def test_the_table_has_the_mean_and_deviation_over_seeds(finished):
    root = finished / "all"
    folders = {path.parent.parent.name for path in root.rglob("report/report.html")}
    assert folders == {f"lr_{rate}-seed_{seed}" for rate in ("0.01", "0.001") for seed in (0, 1)}
    rows = {(row["build_optimizer.conf.lr"], row["metric"]): row for row in csv.DictReader((root / "grid.csv").open())}
    for rate in ("0.01", "0.001"):
        values = []
        for seed in (0, 1):
            report = json.loads((root / "asr" / f"lr_{rate}-seed_{seed}" / "report" / "results.json").read_text())
            values.append(report["checkpoints"][report["best"]["checkpoint"]]["test"]["cer"])
        row = rows[rate, "cer"]
        assert float(row["mean"]) == pytest.approx(statistics.mean(values)) and row["runs"] == "2"
        assert float(row["deviation"]) == pytest.approx(statistics.stdev(values))
    assert "Student" in (root / "grid.html").read_text("utf-8")


def test_a_second_call_trains_nothing_and_leaves_the_same_table(finished, capfd):
    root = finished / "all"
    before = {path: path.stat().st_mtime_ns for path in root.rglob("train/**/*") if path.is_file()}
    tables = [(root / name).read_bytes() for name in ("grid.json", "grid.csv", "grid.html")]
    assert main(["run", str(finished / "grün 1.yaml")]) == 0
    assert {path: path.stat().st_mtime_ns for path in root.rglob("train/**/*") if path.is_file()} == before
    assert [(root / name).read_bytes() for name in ("grid.json", "grid.csv", "grid.html")] == tables
    assert re.search(r"asr +0.01 +test +WER +2 +\d+\.\d\d%", capfd.readouterr().out)


def test_a_grid_that_was_killed_ends_in_the_same_table(finished, tones, tmp_path):
    path = grid_of(tones, tmp_path)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    command = [sys.executable, "-m", "problems", "run", str(path)]
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True, **quiet)
    while not list(tmp_path.glob("all/asr/*/train/metrics.jsonl")) and process.poll() is None:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert main(["run", str(path)]) == 0
    assert (tmp_path / "all" / "grid.json").read_bytes() == (finished / "all" / "grid.json").read_bytes()


def test_runs_that_differ_in_the_training_alone_share_a_pass(tones, tmp_path):
    over = {"build_optimizer.conf.lr": [0.1, 0.01], "build_upstream.name": ["fbank", "mfcc"], "train.seed": [0, 1]}
    keys = [run.pass_key for run in read_grid(grid_of(tones, tmp_path, over=over)).runs]
    assert len(keys) == 8 and len(set(keys)) == 4 and all(keys.count(key) == 2 for key in keys)
    longer = {"asr": None, "long": {"problem": "asr", "train": {"total_steps": 12}}}
    runs = read_grid(grid_of(tones, tmp_path, over={}, problems=longer)).runs
    assert runs[0].pass_key == runs[1].pass_key
    assert [run.tree["train"]["total_steps"] for run in runs] == [8, 12] and runs[1].tree["train"]["eval_step"] == 4


def test_folds_are_runs_and_a_failure_is_named_at_the_end(tones, tmp_path, capfd):
    common = yaml_text.load(grid_of(tones, tmp_path).read_text("utf-8"))["common"]
    common["prepare_data"] = {"corpus": "csv", "train": str(tones / "train.csv")}
    broken = {"problem": "asr", "build_downstream": {"conf": {"hidden_size": [-3]}}}
    changes = {"common": common, "folds": 2, "over": {}, "problems": {"asr": None, "broken": broken}}
    assert main(["run", str(grid_of(tones, tmp_path, **changes))]) == 1
    out, err = capfd.readouterr()
    assert re.search(r"^asr +test +WER +2 ", out, re.M) and "broken" not in out
    assert re.search(r"FAILED: broken / fold_1: .*see .*broken-fold_1.log", err)
    rows = json.loads((tmp_path / "all" / "grid.json").read_text())
    assert [run["done"] for run in rows["runs"]] == [True, True, False, False]
    assert set(rows["rows"][0]["values"]) == {"fold 0", "fold 1"}


def test_the_interval_of_a_mean_is_students():
    values = [0.1, 0.15, 0.12, 0.3]
    assert interval_of_mean(values) == pytest.approx(
        stats.ttest_1samp(values, 0.0).confidence_interval(0.95), abs=1e-12
    )


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"problem": {}}, "unknown key 'problem' (did you mean 'problems'?)"),
        ({"problems": {}}, "problems is empty"),
        ({"problems": {"assr": None}}, "problems.assr: unknown problem 'assr' (did you mean 'asr'?)"),
        ({"problems": {"../x": {"problem": "asr"}}}, "problems.../x: expected a label"),
        ({"problems": {"logs": {"problem": "asr"}}}, "problems.logs: expected a label"),
        ({"problems": {"asr": 3}}, "problems.asr is 3: expected its settings"),
        ({"problems": {"asr": {"train": {"total_stepz": 1}}}}, "train.total_stepz"),
        ({"problems": {"asr": {"config": "lrge"}}}, "unknown preset 'lrge'"),
        ({"problems": {"asr": {"stop": 2}}}, "stop cannot be set for a run of a grid"),
        ({"over": {"train.seed": 3}}, "over.train.seed is 3: expected a list"),
        ({"over": {"train.seed": [0, 0]}}, "one value is there twice"),
        ({"over": {"train.sed": [0]}}, "problems.asr with {'train.sed': 0}"),
        ({"over": {"train.comment": ["a b", "a_b"]}}, "train.comment"),
        ({"over": {"save_model.extra_conf": [{"a b": 1}, {"a_b": 1}]}}, "share the folder"),
        ({"folds": 1}, "folds is 1: expected all"),
        ({"folds": 3}, "every fold tests a part of train: leave out test"),
        ({"parallel": True}, "parallel is True: expected a number from 1"),
        ({"target_dir": 3}, "target_dir is 3: expected a folder"),
    ],
)
def test_a_wrong_grid_is_refused_by_file_and_key_before_anything_runs(changes, reason, tones, tmp_path, capsys):
    path = grid_of(tones, tmp_path, **changes)
    assert main(["run", str(path)]) == 2
    message = capsys.readouterr().err
    assert reason in message and "grün 1.yaml: " in message and not (tmp_path / "all").exists()


@pytest.mark.parametrize(
    "text, reason", [("", "got NoneType"), ("a: [", "not valid YAML"), ("a: 1\na: 2", "duplicate")]
)
def test_a_file_that_is_no_grid_is_refused(text, reason, tmp_path, capsys):
    (tmp_path / "grid.yaml").write_text(text)
    assert main(["run", str(tmp_path / "grid.yaml")]) == 2
    assert reason in capsys.readouterr().err
    assert main(["run", str(tmp_path / "other.yaml")]) == 2
    assert "cannot read the grid" in capsys.readouterr().err
    assert main(["run"]) == 2
    assert "run needs one grid" in capsys.readouterr().err
