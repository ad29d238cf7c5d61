"""Each validation metric that is not a count has a plot of its own."""

from __future__ import annotations

from problems.engine.report import write_report
from tests.parts.target_folders import write_training


def test_plots_are_named_after_the_metrics_and_counts_have_none(target, tmp_path):
    write_report(target, tmp_path / "report")
    names = {path.name for path in (tmp_path / "report").iterdir()}
    plots = {"loss.png", "valid_wer.png", "valid_cer.png", "learning_rate.png"}
    assert names == plots | {"report.html", "results.json"}  # and nothing half-written
    for name in plots:
        assert (tmp_path / "report" / name).read_bytes().startswith(b"\x89PNG")


def test_metric_names_of_any_spelling(tmp_path):
    write_training(tmp_path / "run")
    with open(tmp_path / "run" / "train" / "metrics.jsonl", "a") as file:
        file.write('{"step": 70, "split": "valid", "a/$b^": 0.5, "a_$b^": 1.5, "../up": 2.5}\n')
    write_report(tmp_path / "run", tmp_path / "report")
    names = {path.name for path in (tmp_path / "report").glob("valid_*")}
    assert names >= {"valid_a__b_.png", "valid_a__b__.png", "valid_.._up.png"}
