"""Regression on tones whose pitch is the value: it learns, reports, predicts, and refuses what is no number."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import soundfile

import problems
from problems.engine.cli.main import execute
from problems.regression import Regression
from tests.conftest import write_table

SYSTEMS = ("kurz", "läng er", "long")


def write_tones(folder, count: int, seed: int) -> list[dict[str, str]]:
    """Tones of 200 to 3200 Hz, whose value is the octave above 100 Hz; the system is one of three lengths."""
    folder.mkdir(parents=True)
    random, rows = np.random.default_rng(seed), []
    for number in range(count):
        octave, system = random.uniform(1, 5), number % 3
        time = np.arange(int(16000 * (0.4 + 0.2 * system))) / 16000
        wave = 0.3 * np.sin(2 * np.pi * 100 * 2**octave * time) + 0.01 * random.standard_normal(len(time))
        path = folder / f"t {number} ü.wav"
        soundfile.write(path, wave, 16000)
        row = {"id": f"{folder.name}-{number}", "wav_path": str(path), "value": f"{octave:.3f}"}
        rows.append(row | {"system": SYSTEMS[system]})
    return rows


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tones")
    for seed, (name, count) in enumerate((("train", 48), ("valid", 12), ("test", 12))):
        write_table(folder / f"{name}.csv", write_tones(folder / name, count, seed))
    return folder


@pytest.fixture
def run(tables, tmp_path):
    def start(*options: str, code: int = 0):
        given = [
            f"--target_dir={tmp_path / 'run'}",
            f"--cache_dir={tmp_path / 'cache'}",
            "--num_workers=0",
            "--prepare_data.corpus=csv",
            *(f"--prepare_data.{split}={tables / split}.csv" for split in ("train", "valid", "test")),
            "--build_upstream.conf.num_mel_bins=20",
            "--build_downstream.conf.channels=[32]",
            "--build_downstream.conf.dropout=0",
            "--build_batch_sampler.train.batch_size=8",
            "--build_optimizer.conf.lr=0.01",
            "--train.total_steps=100",
            "--train.eval_step=50",
            "--train.save_step=50",
            "--train.use_scheduler=false",
            "--evaluate.confidence=50",
        ]
        assert execute(Regression(), ["run", *given, *options]) == code
        return tmp_path / "run"

    return start


def result(target) -> dict:
    (path,) = (target / "evaluate").glob("*/test/result.json")
    return json.loads(path.read_text())


def test_it_learns_a_number_reports_it_and_predicts_it(run, tables, capsys):
    target = run("--evaluate.groups=[system, {value: [3]}]")
    content = result(target)
    metrics = content["metrics"]
    assert metrics["mse"] < 0.6 and metrics["pearson"] > 0.85 and metrics["systems"] == 3
    numbers = [float(row["value"]) for row in csv.DictReader(open(tables / "train.csv", encoding="utf-8"))]
    encoder = json.loads((target / "encoder/encoder.json").read_text())
    assert [encoder["mean"], encoder["deviation"]] == pytest.approx([np.mean(numbers), np.std(numbers)])

    for name in ("mse", "mae", "pearson", "spearman", "kendall", "system_mse"):
        low, high = content["intervals"][name]
        assert low <= metrics[name] <= high, name
    assert content["groups"]["system"].keys() == set(SYSTEMS)
    assert [own["utterances"] for own in content["groups"]["value"].values()] != [12]

    trivial = json.loads((target / "evaluate/baselines.json").read_text())["test_sets"]["test"]
    test = [float(row["value"]) for row in csv.DictReader(open(tables / "test.csv", encoding="utf-8"))]
    mean = trivial["mean of the training set"]
    assert mean == {
        "mse": pytest.approx(np.mean((np.array(test) - np.mean(numbers)) ** 2)),
        "mae": pytest.approx(np.mean(np.abs(np.array(test) - np.mean(numbers)))),
    }
    assert trivial["ridge regression"]["mse"] < mean["mse"]
    assert trivial["ridge regression"].keys() >= {"kendall", "system_spearman"}
    page = (target / "report" / "report.html").read_text()
    assert "label wrong" not in page and "confus" not in page.lower()
    assert "ridge regression" in page and "with the highest loss of 12 utterances" in page

    capsys.readouterr()
    wav = str(tables / "test" / "t 0 ü.wav")
    assert execute(Regression(), ["predict", "--ckpt", str(target), wav]) == 0
    path, _, text = capsys.readouterr().out.strip().partition("\t")
    (table,) = (target / "evaluate").glob("*/test/predictions.csv")
    first = next(csv.DictReader(open(table, newline="", encoding="utf-8")))
    assert path == wav and float(text) == pytest.approx(float(first["hypothesis"]), rel=1e-3)
    assert str(problems.load(str(target)).predict(wav)) == text


def test_without_systems_there_are_no_metrics_of_systems(run, tables, tmp_path):
    data = []
    for split in ("train", "valid", "test"):
        rows = list(csv.DictReader(open(tables / f"{split}.csv", newline="", encoding="utf-8")))
        own = write_table(tmp_path / f"{split}.csv", [{k: row[k] for k in row if k != "system"} for row in rows])
        data.append(f"--prepare_data.{split}={own}")
    metrics = result(run(*data, "--train.total_steps=2", "--build_task.loss=huber"))["metrics"]
    assert "mse" in metrics and not [name for name in metrics if name.startswith("system")]


@pytest.mark.parametrize(
    ("split", "column", "cell", "words"),
    [
        ("train", "value", "3,5", "row 4 (train-2), column 'value': expected a number, such as 3.5, got '3,5'"),
        ("test", "value", "", "row 4 (test-2): expected a number, such as 3.5, got ''"),
        ("valid", "system", "", "row 4 (valid-2), column 'system': it is empty"),
    ],
)
def test_a_cell_that_cannot_be_used_is_named_before_training(run, tables, tmp_path, capfd, split, column, cell, words):
    rows = list(csv.DictReader(open(tables / f"{split}.csv", newline="", encoding="utf-8")))
    rows[2][column] = cell
    table = write_table(tmp_path / f"{split}.csv", rows)
    target = run(f"--prepare_data.{split}={table}", code=1)
    said = capfd.readouterr().err
    assert words in said and f"{split}.csv" in said and "Traceback" not in said and not (target / "train").exists()


def test_part_of_the_training_set_is_a_part_of_all_of_it(run):
    """Of labels each value is kept, which of numbers would be nearly every utterance."""
    target = run("--prepare_data.train_fraction=0.25", "--stop=0")
    assert len((target / "data/train.csv").read_text().splitlines()) == 1 + 12


def test_a_wrong_loss_is_refused(run, capfd):
    run("--build_task.loss=rmse", code=2)
    assert "build_task.loss" in capfd.readouterr().err
