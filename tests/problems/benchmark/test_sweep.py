"""A sweep: trainings that differ in settings, the best by validation, and the same table after a second call."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from problems.__main__ import main
from problems.benchmark.spaces import Suggestions, space_of
from tests.conftest import tiny_options

RATES = "--over.build_optimizer.conf.lr=[0.01, 0.0001]"


def words(tones: Path, folder: Path, *more: str) -> list[str]:
    own = [option for option in tiny_options(tones, folder) if not option.startswith(("--target_dir", "--build_opt"))]
    return ["sweep", "asr", *own, "--train.valid_metric=loss", f"--target_dir={folder / 'sweep'}", *more]


def table_of(folder: Path) -> dict:
    return json.loads((folder / "sweep" / "sweep.json").read_text("utf-8"))


def test_the_best_by_validation_is_tested_and_no_other(tones, tmp_path, capsys):
    many = words(tones, tmp_path, RATES, "--over.build_model.specaug=[null, {freq_mask_width: [0, 2]}]")
    assert main(many) == 0
    result = table_of(tmp_path)
    assert len(result["trials"]) == 4
    values = [row["validation"] for row in result["trials"]]
    assert values == sorted(values) and result["trials"][0]["state"] == "best"
    tested = [path.parent.parent.name for path in (tmp_path / "sweep").rglob("report/report.html")]
    assert tested == [result["best"]]
    out = capsys.readouterr().out
    assert re.search(r"build_optimizer.conf.lr +build_model.specaug +validation", out)
    before = (tmp_path / "sweep" / "sweep.json").read_bytes()
    leftover = tmp_path / "sweep" / ".sweep.json.1.tmp"
    leftover.write_text("half")
    assert main(many) == 0
    assert not leftover.exists()
    assert (tmp_path / "sweep" / "sweep.json").read_bytes() == before
    assert "trainings" not in capsys.readouterr().err  # nothing is trained again


def test_the_table_as_csv_has_the_values_as_they_are_and_one_training_for_equal_ones(tones, tmp_path):
    masks = "[{freq_mask_width: [0, 2]}, {freq_mask_width: [0, 2]}]"
    assert main(words(tones, tmp_path, f"--over.build_model.specaug={masks}")) == 0
    (row,) = table_of(tmp_path)["trials"]
    with open(tmp_path / "sweep" / "sweep.csv", encoding="utf-8", newline="") as file:
        (line,) = csv.DictReader(file)
    assert json.loads(line["build_model.specaug"]) == {"freq_mask_width": [0, 2]}
    assert float(line["validation"]) == row["validation"]


def test_data_that_differ_are_read_apart(tones, tmp_path):
    assert main(words(tones, tmp_path, "--over.build_upstream.conf.num_mel_bins=[20, 23]")) == 0
    folders = {row["folder"] for row in table_of(tmp_path)["trials"]}
    assert folders == {"num_mel_bins_20", "num_mel_bins_23"}


def test_halving_drops_the_worse_half_and_a_second_call_does_not_bring_it_back(tones, tmp_path, capsys):
    rates = "--over.build_optimizer.conf.lr=[0.01, 1e-7, 0.003, 1e-6]"
    many = words(tones, tmp_path, rates, "--halving", "--train.eval_step=2")
    assert main(many) == 0
    states = {row["build_optimizer.conf.lr"]: row["state"] for row in table_of(tmp_path)["trials"]}
    assert sorted(states.values()) == ["best", "dropped", "dropped", "dropped"]
    assert states[1e-7] == states[1e-6] == "dropped"
    assert re.search(r"dropped after 2 of 8 steps; better: lr 0.01, lr 0.003", capsys.readouterr().err)
    before = (tmp_path / "sweep" / "sweep.json").read_bytes()
    assert main(many) == 0
    assert (tmp_path / "sweep" / "sweep.json").read_bytes() == before


@pytest.mark.parametrize("together", [True, False])
def test_a_training_that_diverges_is_marked_and_not_chosen_and_has_not_failed(tones, tmp_path, together):
    rates = [RATES.replace("0.0001", "1.0e+30")] if together else ["--over.build_optimizer.conf.lr=[1.0e+30]"]
    many = words(tones, tmp_path, *rates, "--train.nonfinite_patience=2", "--train.log_step=1")
    assert main(many) == (0 if together else 1)  # without another one there is none to choose
    marked = [path.parent.name for path in (tmp_path / "sweep").glob("*/diverged")]
    assert marked == ["lr_1e_30"]
    if together:
        assert [row["state"] for row in table_of(tmp_path)["trials"]] == ["best", "diverged"]


def test_a_range_is_searched_by_optuna_and_continued(tones, tmp_path):
    pytest.importorskip("optuna")
    space = "--over.build_optimizer.conf.lr={low: 1.0e-5, high: 0.1, log: true}"
    assert main(words(tones, tmp_path, space, "--trials=2")) == 0
    first = {row["folder"]: row for row in table_of(tmp_path)["trials"]}
    assert main(words(tones, tmp_path, space, "--trials=3")) == 0
    more = {row["folder"]: row for row in table_of(tmp_path)["trials"]}
    assert len(more) == 3 and set(first) < set(more)


def test_suggestions_follow_from_the_results_alone():
    pytest.importorskip("optuna")

    def search() -> list[dict]:
        suggestions = Suggestions([space_of("lr", {"low": 1e-5, "high": 1.0, "log": True}), space_of("n", [1, 2])])
        values = []
        for _ in range(6):
            asked = suggestions.ask(5)
            suggestions.tell([(abs(own["lr"] - 0.01) + own["n"], False) for own in asked])
            values += asked
        return values

    first = search()
    assert first == search()
    near = [abs(own["lr"] - 0.01) < 0.02 and own["n"] == 1 for own in first]
    assert sum(near[15:]) > sum(near[:15])  # it learns


@pytest.mark.parametrize(
    "more, reason",
    [
        ([], "sweep needs what to vary"),
        (["--over.train.total_steps=3"], "expected a list"),
        (["--over.build_optimizer.conf.lr={low: 1, high: 0.1}"], "expected a list"),
        (["--over.build_optimizer.conf.lr={low: 0, high: 0.1, log: true}"], "above 0 if log is true"),
        (["--over.build_optimizer.conf.lr={low: 0.01, high: 0.1}"], "say how many values to try"),
        (["--over.build_optimizer.cnf.lr=[1]"], "build_optimizer.cnf"),
        (["--over.train.total_steps=[a]"], "train.total_steps"),
        (["--over.train.comment=[a b, a_b]"], "train.comment"),
    ],
)
def test_a_wrong_sweep_is_refused_before_anything_runs(more, reason, tones, tmp_path, capsys):
    assert main(words(tones, tmp_path, *more)) == 2
    assert reason in capsys.readouterr().err
    assert not list((tmp_path / "sweep").glob("*_*"))


def test_an_unknown_problem_is_refused(capsys):
    assert main(["sweep", "kss", RATES]) == 2
    assert "unknown problem 'kss' (did you mean 'ks'?)" in capsys.readouterr().err
