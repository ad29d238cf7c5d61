"""``--learning_curve``: one command trains on growing parts of the data, resumes, and shows the metric of each."""

from __future__ import annotations

import csv
import json

import pytest

from problems.asr import ASR
from problems.engine.cli.main import execute


def ids(folder) -> set[str]:
    with open(folder / "data" / "train.csv", newline="", encoding="utf-8") as file:
        return {row["id"] for row in csv.DictReader(file)}


def test_the_parts_grow_and_are_compared(tiny, tmp_path, capfd):
    options = ["run", *tiny, "--evaluate.baselines=true", "--learning_curve"]
    assert execute(ASR(), options) == 0
    root = tmp_path / "run"
    few, some, all_ids = ids(root / "learning_curve" / "10%"), ids(root / "learning_curve" / "30%"), ids(root)
    assert [len(few), len(some), len(all_ids)] == [3, 7, 22] and few < some < all_ids
    curve = json.loads((root / "learning_curve" / "learning_curve.json").read_text())
    assert curve["metric"] == "wer" and [p["utterances"] for p in curve["points"]] == [3, 7, 22]
    results = json.loads((root / "report" / "results.json").read_text())
    checkpoint = results["best"]["checkpoint"]
    assert curve["points"][-1]["results"]["test"] == results["checkpoints"][checkpoint]["test"]["wer"]
    assert "most frequent word" in curve["points"][0]["baselines"]["test"]
    page = (root / "report" / "report.html").read_text()
    assert "WER on test by amount of training data" in page and "training utterances" in page
    assert (root / "report" / "learning_curve_test.png").stat().st_size > 1000
    out, err = capfd.readouterr()
    header, _, *rows = out.strip().splitlines()[-5:]
    assert header.split()[:4] == ["training", "utterances", "test", "set"] and "most frequent word" in header
    assert [row.split()[0] for row in rows] == ["3", "7", "22"]
    assert err.count("== stage 2: train") == 3
    assert execute(ASR(), options) == 0
    assert "== stage 2: train" not in capfd.readouterr().err  # every part is done


@pytest.mark.parametrize(
    "option", ["--stop=2", "--start=3", "--nproc=2", "--seeds=2", "--prepare_data.train_fraction=0.5"]
)
def test_what_the_parts_cannot_be_compared_with_is_refused(tiny, tmp_path, capsys, option):
    assert execute(ASR(), ["run", *tiny, "--learning_curve", option]) == 2
    key = option.partition("=")[0].removeprefix("--")
    assert f"learning_curve runs all stages on parts of the training set: leave out {key}" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
