"""A target folder is read without trust: what is damaged is noted, and the rest is shown."""

from __future__ import annotations

import json

from problems.engine.report.predictions import read_predictions
from problems.engine.report.read import read_run
from problems.engine.report.report import write_report
from tests.parts.target_folders import Page, write_result


def test_torn_files_are_noted_and_the_rest_is_shown(target, tmp_path):
    with open(target / "train" / "metrics.jsonl", "a") as file:
        file.write('\n[1]\n{"step": null, "split": "train"}\n{"step": 110, "spl')
    (target / "train" / "best.json").write_text('{"wer min": ["step_100"], "wer": 3}')
    (target / "evaluate" / "step_50" / "clean" / "result.json").write_text('{"metrics": {"wer"')
    predictions = target / "evaluate" / "step_100" / "clean" / "predictions.csv"
    predictions.write_text("id,reference,hypothesis\nu1,a b,a\nu2,a")
    (target / "stages.json").write_bytes(b"\xff\xfe")
    report = write_report(target, tmp_path / "report")
    assert "step_50" not in report.to_json()["checkpoints"]
    notes = "\n".join(report.notes)
    for part in (
        "metrics.jsonl: 3 damaged line(s)",
        "'wer' is not a rule",
        "step_50/clean/result.json cannot be read",
        "clean/predictions.csv: 1 torn row(s)",
        "stages.json cannot be read",
    ):
        assert part in notes
    page = Page(tmp_path / "report" / "report.html")
    assert report.notes[0] in page.text and "u1" in page.text


def test_a_step_logged_twice_counts_once(target, tmp_path):
    with open(target / "train" / "metrics.jsonl", "a") as file:
        file.write('{"step": 50, "split": "valid", "wer": 0.5}\n{"step": 100, "split": "valid", "wer": 0.375}\n')
    assert [value for _, value in read_run(target).points("valid", "wer")] == [0.5, 0.375]


def test_of_equal_validations_the_best_is_that_of_the_chosen_checkpoint(target):
    rows = [{"step": step, "split": "valid", "wer": 0.25} for step in (50, 100, 150)]
    (target / "train" / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (target / "train" / "best.json").write_text('{"wer min": ["step_00000100"], "wer max": ["step_00000007"]}')
    run = read_run(target)
    assert [run.best_point(rule) for rule in run.rules] == [(100, 0.25), (50, 0.25)]


def test_a_result_over_a_few_batches_is_noted(tmp_path):
    folder = write_result(tmp_path / "run", "step_9", "test", {"wer": 0.5})
    (folder / "result.json").write_text('{"metrics": {"wer": 0.5}, "only_batches": 3}')
    notes = write_report(tmp_path / "run", tmp_path / "report").notes
    assert "evaluate/step_9/test/result.json covers the first 3 batches only (eval_batch)." in notes


def test_checkpoints_are_in_the_order_of_their_steps_and_unfinished_folders_are_left_out(tmp_path):
    for checkpoint in ("step_10", "step_9", "average", ".step_11"):
        write_result(tmp_path, checkpoint, "test", {"wer": 0.5})
    assert list(read_run(tmp_path).results) == ["average", "step_9", "step_10"]


def test_what_is_not_a_number_is_not_a_metric(tmp_path):
    write_result(tmp_path, "step_9", "test", {"wer": 0.5, "flag": True, "name": "x", "cer": None, "list": [1]})
    assert read_run(tmp_path).results["step_9"]["test"].metrics == {"wer": 0.5, "cer": None}


def test_predictions_without_text_are_not_shown(tmp_path):
    folder = write_result(tmp_path, "step_9", "test", {"wer": 0.5})
    (folder / "predictions.csv").write_text("id1,id2,score\na,b,0.5\n")
    notes: list[str] = []
    assert read_predictions(folder / "predictions.csv", notes) is None and notes == []
    assert read_predictions(folder / "none.csv", notes) is None
    assert notes == ["evaluate/step_9/test/none.csv is missing: its utterances are not shown."]
