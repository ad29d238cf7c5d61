"""``--folds`` and ``--seeds``: one command makes several runs, resumes, and averages their metrics."""

from __future__ import annotations

import csv
import json
import statistics

import pytest

from dataset.corpora.crema_d import CREMAD
from dataset.corpora.csv import Csv
from dataset.corpora.iemocap import IEMOCAP
from dataset.corpora.toy import Toy
from problems.asr import ASR
from problems.engine.cli.main import execute
from tests.conftest import write_table


@pytest.fixture
def options(tiny, tones, tmp_path):
    """A run on folds of one CSV, with a column of folds."""
    with open(tones / "train.csv", newline="", encoding="utf-8") as file:
        rows = [{**row, "session": f"s{number % 3}"} for number, row in enumerate(csv.DictReader(file))]
    table = write_table(tmp_path / "all.csv", rows)
    sets = ("--prepare_data.train", "--prepare_data.valid", "--prepare_data.test")
    given = [option for option in tiny if not option.startswith(sets)]
    return ["run", *given, f"--prepare_data.train={table}", "--train.total_steps=2", "--train.eval_step=2"]


def ids_of_test(folder) -> set[str]:
    with open(folder / "data" / "test.csv", newline="", encoding="utf-8") as file:
        return {row["id"] for row in csv.DictReader(file)}


@pytest.mark.parametrize("more", [["--folds=3"], ["--folds=all", "--prepare_data.fold_by=session"]])
def test_every_utterance_is_tested_once_and_the_metrics_are_averaged(options, more, tmp_path, capfd):
    assert execute(ASR(), [*options, *more]) == 0
    folders = [tmp_path / "run" / "folds" / str(number) for number in range(3)]
    ids = [ids_of_test(folder) for folder in folders]
    assert sum(map(len, ids)) == len(set.union(*ids)) == 22
    if "--folds=all" in more:
        assert all(len({int(id.rpartition("-")[2]) % 3 for id in own}) == 1 for own in ids)
    result = json.loads((tmp_path / "run" / "folds" / "folds.json").read_text())
    values = []
    for folder in folders:
        report = json.loads((folder / "report" / "results.json").read_text())
        values.append(report["checkpoints"][report["best"]["checkpoint"]]["test"]["wer"])
    assert result["test_sets"]["test"]["wer"] == {
        "folds": values,
        "mean": pytest.approx(statistics.fmean(values)),
        "deviation": pytest.approx(statistics.stdev(values)),
    }
    out, err = capfd.readouterr()
    assert "mean  deviation" in out and err.count("== stage 2: train") == 3
    assert "mean WER" in (tmp_path / "run" / "folds" / "folds.html").read_text()
    assert execute(ASR(), [*options, *more]) == 0
    assert "== stage 2: train" not in capfd.readouterr().err  # every fold is done


@pytest.mark.parametrize(
    "more, message",
    [
        (["--folds=all"], "folds: expected a number, such as 5, or prepare_data.fold_by"),
        (["--folds=4", "--prepare_data.fold_by=session"], "has 3 values of 'session'; expected all, got 4"),
        (["--folds=3", "--stop=2"], "folds runs all stages of each fold in one process"),
        (["--folds=some"], "folds"),
        (["--folds=3", "--prepare_data.test=x.csv"], "every fold tests a part of train: leave out test"),
        (["--folds=1"], "folds"),
        (["--folds=all", "--prepare_data.corpus=toy"], "the corpus Toy has no folds"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(options, more, message, tmp_path, capfd):
    if more[-1].endswith("toy"):
        options = [option for option in options if not option.startswith("--prepare_data")]
    assert execute(ASR(), [*options, *more]) in (1, 2)
    assert message in capfd.readouterr().err
    assert not (tmp_path / "run" / "folds").exists()


def test_corpora_know_their_folds():
    assert CREMAD("x").folds_of(None) == [{"folds": 5, "test_fold": fold} for fold in range(5)]
    assert len(CREMAD("x").folds_of(3)) == 3
    assert IEMOCAP("x").folds_of(None) == [{"test_fold": fold} for fold in range(5)]
    with pytest.raises(ValueError, match="IEMOCAP has 5 folds"):
        IEMOCAP("x").folds_of(3)
    assert [settings["fold"] for settings in Csv("x", folds=4).folds_of(None)] == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="has no folds"):
        Toy().folds_of(3)


SHORT = ("--train.total_steps=4", "--train.eval_step=4")


def test_seeds_are_one_result_with_the_parts_of_its_variance(tiny, tmp_path, capfd):
    words = ["run", *tiny, *SHORT]
    assert execute(ASR(), [*words, "--seeds=0,2"]) == 0
    folder = tmp_path / "run" / "seeds"
    wer = json.loads((folder / "seeds.json").read_text())["test_sets"]["test"]["wer"]
    reports = [json.loads((folder / name / "report" / "results.json").read_text()) for name in ("0", "2")]
    values = [own["checkpoints"][own["best"]["checkpoint"]]["test"]["wer"] for own in reports]
    assert wer["seeds"] == values and wer["mean"] == pytest.approx(statistics.fmean(values))
    assert set(wer["variance"]) == {"seeds", "test_set", "both"} and wer["variance"]["test_set"] >= 0
    out, err = capfd.readouterr()
    assert "seed 0" in out and "seed 2" in out and "seed / test / both" in out
    assert "deviation" in (folder / "seeds.html").read_text()
    # another seed is added; those that are there are not trained again, and one alone is the same run
    assert execute(ASR(), [*words, "--seeds=3"]) == 0
    assert capfd.readouterr().err.count("== stage 2: train") == 1
    assert json.loads((folder / "seeds.json").read_text())["runs"] == ["0", "1", "2"]
    alone = ["--train.seed=2", f"--target_dir={tmp_path / 'alone'}"]
    assert execute(ASR(), [*words, *alone]) == 0
    weights = [
        next(place.glob("train/step_00000004/model/weights.safetensors")).read_bytes()
        for place in (tmp_path / "alone", folder / "2")
    ]
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    "more, message",
    [
        (["--seeds=1"], "seeds is 1: expected how many, at least 2"),
        (["--seeds=1,1"], "expected how many, at least 2, or a list of different seeds"),
        (["--seeds=a,b"], "expected how many, at least 2, or a list of different seeds"),
        (["--seeds=[0, -1]"], "expected how many, at least 2, or a list of different seeds"),
        (["--seeds=3", "--stop=2"], "seeds runs all stages of each seed in one process"),
        (["--seeds=3", "--folds=2"], "folds and seeds each make several runs"),
    ],
)
def test_wrong_seeds_are_refused_before_any_work(tiny, more, message, tmp_path, capfd):
    assert execute(ASR(), ["run", *tiny, *more]) in (1, 2)
    assert message in capfd.readouterr().err
    assert not (tmp_path / "run" / "seeds").exists()
