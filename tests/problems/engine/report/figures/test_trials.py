"""The figures of trials: the DET curve of det.json, the scores of both kinds, and the reliability of ratios."""

from __future__ import annotations

import json

import numpy as np
import pytest

from problems.engine.report.figures.trials import det_figure, read_det, trial_figures
from tasks.metrics.verification import TrialScores


@pytest.fixture
def trials():
    """Scores of 4000 trials, a quarter of them of the same speaker, and which these are."""
    draw = np.random.default_rng(0)
    targets = np.arange(4000) % 4 == 0
    return draw.normal(size=4000) + 3 * targets, targets


def points_of(trials) -> list[dict[str, float]]:
    return [vars(point) for point in TrialScores(*trials).det_curve()]


def test_a_det_curve_states_the_equal_error_rate_and_has_the_operating_points(trials):
    figure = det_figure("DET", {"": points_of(trials)})
    eer = TrialScores(*trials).eer
    stated = float(figure.summary.rsplit(" ", 1)[1].rstrip("%.")) / 100
    assert stated == pytest.approx(eer, abs=0.004)
    assert list(figure.header) == ["threshold", "false alarms", "misses"] and figure.legend == []
    thresholds = [float(row.cells[0].replace(",", "")) for row in figure.rows]
    assert thresholds == sorted(thresholds) and len(thresholds) > 50
    xs = [row.x for row in figure.rows]
    assert xs == sorted(xs, reverse=True)  # false alarms fall as the threshold rises


def test_systems_share_a_plot_and_worse_ones_widen_it(trials):
    scores, targets = trials
    noise = np.random.default_rng(1).normal(size=len(scores))
    systems = {"one": points_of(trials), "two": points_of((noise, targets)), "none": []}
    figure = det_figure("DET", systems)
    assert [name for name, _ in figure.legend] == ["one", "two"] and len({c for _, c in figure.legend}) == 2
    assert {row.cells[0] for row in figure.rows} == {"one", "two"} and figure.header[0] == "run"
    assert det_figure("DET", {"none": []}) is None


@pytest.mark.parametrize("scores", [[0.5] * 4, [1.0, 0.0, 1.0, 0.0]])
def test_trials_of_which_all_or_none_are_told_apart_have_a_curve_too(scores):
    figure = det_figure("DET", {"": points_of((np.array(scores), np.array([1, 0, 1, 0]) > 0))})
    assert figure.rows and "nan" not in figure.svg


@pytest.mark.parametrize("text", ["", "[1]", '[{"miss": 0.5}]', "null"])
def test_a_det_file_that_cannot_be_read_is_left_out(tmp_path, text):
    (tmp_path / "det.json").write_text(text)
    assert read_det(tmp_path) == [] and read_det(tmp_path / "none") == []


def test_the_figures_of_calibrated_trials(trials, tmp_path):
    scores, targets = trials
    (tmp_path / "det.json").write_text(json.dumps(points_of(trials)))
    ratios = 3 * scores - 4.5  # of two normal distributions at 0 and 3: calibrated
    rows = [
        {"label": str(int(target)), "score": str(score), "llr": str(ratio)}
        for target, score, ratio in zip(targets, scores, ratios)
    ]
    det, histogram, reliability = trial_figures(rows, tmp_path)
    assert (det.title, histogram.title) == ("DET curve", "Scores")
    assert sum(int(row.cells[1].replace(",", "")) for row in histogram.rows) == 3000
    gaps = [abs(float(row.cells[0]) - float(row.cells[1].rstrip("%")) / 100) for row in reliability.rows]
    numbers = [int(row.cells[3].replace(",", "")) for row in reliability.rows]
    assert np.average(gaps, weights=numbers) < 0.02
    plain = [{key: row[key] for key in ("label", "score")} for row in rows]
    assert len(trial_figures(plain, tmp_path / "none")) == 1
    assert trial_figures([row for row in rows if row["label"] == "1"], tmp_path) == []
