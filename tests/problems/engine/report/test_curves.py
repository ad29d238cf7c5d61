"""Each validation metric that is not a count has a plot of its own, and a rate stays within 0 and 100 %."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from problems.engine.report import plots
from problems.engine.report.charts.axis import linear
from problems.engine.report.curves import curves
from problems.engine.report.read import Run, read_run
from problems.engine.report.report import write_report
from tests.parts.target_folders import DECLARATIONS, write_training


def test_plots_are_named_after_the_metrics_and_counts_have_none(target, tmp_path):
    write_report(target, tmp_path / "report")
    names = {path.name for path in (tmp_path / "report").iterdir() if path.is_file()}
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


def history(target: Path, *rows: dict) -> Run:
    """A run with this history and nothing else."""
    (target / "train").mkdir(exist_ok=True)
    (target / "train" / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (target / "train" / "declarations.json").write_text(json.dumps(DECLARATIONS))
    return read_run(target)


@pytest.mark.parametrize("first, is_log", [(2.0, False), (20.0, False), (20.1, True), (-1.0, False)])
def test_a_loss_that_falls_twentyfold_is_on_a_log_scale(tmp_path, first, is_log):
    rows = [{"step": step, "split": "train", "loss": loss} for step, loss in ((1, first), (2, None), (3, 1.0))]
    (plot,) = curves(history(tmp_path, *rows))
    assert plot.log == is_log and plot.title == ("loss (log scale)" if is_log else "loss")


def test_the_loss_of_training_and_validation_share_a_plot_with_the_best_of_the_rule(tmp_path):
    write_training(tmp_path)
    loss, wer, cer, rate = curves(read_run(tmp_path))
    assert [series.name for series in loss.series] == ["training", "validation"]
    assert [series.sparse for series in loss.series] == [False, True]
    assert loss.best == (50, 1.5) and wer.best == (100, 0.125) and cer.best is None and rate.best is None
    assert wer.title == "validation WER"


@pytest.mark.parametrize("count, is_sparse", [(60, True), (61, False)])
def test_a_short_validation_curve_has_markers(tmp_path, count, is_sparse):
    (plot,) = curves(history(tmp_path, *({"step": step, "split": "valid", "cer": 0.5} for step in range(count))))
    assert plot.series[0].sparse == is_sparse and len(plot.series[0].steps) == count


def test_the_learning_rates_of_several_optimizers_share_a_plot(tmp_path):
    row = {"step": 10, "split": "train", "lr_head": 1e-3, "lr_upstream": 1e-5, "lrx": 1}
    other, plot = curves(history(tmp_path, row))
    assert (other.file, plot.file) == ("train_lrx.png", "learning_rate.png")
    assert [(series.name, series.values) for series in plot.series] == [("head", [1e-3]), ("upstream", [1e-5])]


def test_what_a_training_tells_by_name_and_its_steps_are_drawn(tmp_path):
    times = {"data_ms": 1.0, "forward_ms": 2.0, "backward_ms": 3.0, "optimizer_ms": 0.5, "memory_gb": 0.7}
    counts = {"seconds": 3.0, "steps_per_second": 9.0, "grad_norm": 2.0, "errors": 1}
    train = {"step": 10, "split": "train", "accuracy": 0.5, "ctc_loss": 3.0, **counts, **times}
    plots = {
        plot.file: plot for plot in curves(history(tmp_path, train, {"step": 10, "split": "valid", "accuracy": 0.4}))
    }
    assert list(plots) == ["valid_accuracy.png", "train_ctc_loss.png", "step_time.png", "memory.png"]
    assert [(own.name, own.values) for own in plots["valid_accuracy.png"].series] == [
        ("training", [0.5]),
        ("validation", [0.4]),
    ]
    assert plots["train_ctc_loss.png"].title == "training ctc loss"
    names = [own.name for own in plots["step_time.png"].series]
    assert names == ["waiting for data", "forward", "backward", "optimizer"]
    assert len({own.colour for own in plots["step_time.png"].series}) == 4


def test_the_learning_rates_of_parameter_groups_share_a_plot(tmp_path):
    (plot,) = curves(history(tmp_path, {"step": 10, "split": "train", "lr": 1e-3, "lr/1": 1e-5, "lr_b/1": 1}))
    assert [series.name for series in plot.series] == ["lr", "1", "b/1"]


@pytest.mark.parametrize("values, top", [([0.5, 0.99], 1.0), ([0.5, 1.0], 1.0), ([0.0, 0.3], None), ([0.9, 1.3], None)])
def test_the_axis_of_a_rate_ends_at_100_percent_unless_the_rate_exceeds_it(tmp_path, values, top):
    """A word error rate may exceed 100 %, an accuracy may not; in the PNG and on the page."""
    run = history(tmp_path, *({"step": step, "split": "valid", "wer": value} for step, value in enumerate(values)))
    (plot,) = curves(run)
    (axes,) = plots.figure_of(plot).axes
    assert axes.yaxis.get_major_formatter()(0.5) in ("50%", "50.0%", "50.00%")
    axis = linear(values, 0, 1, metric=plot.metric, margin=0.04)
    for bottom, limit in (axes.get_ylim(), (axis.low, axis.high)):
        assert bottom >= 0 and (limit == top if top else max(values) < limit != 1.0)
