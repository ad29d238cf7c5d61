"""The page of a comparison has what each kind of prediction can show, and older reports are refused by name."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from problems.engine.report.comparison.page import comparison_page
from problems.engine.report.comparison.runs import finished, metric_rows, pairs_of
from problems.engine.report.report import write_report
from problems.engine.runtime.errors import ConfigError
from tasks.metrics.verification import TrialScores
from tests.parts.target_folders import SCRIPT, write_result, write_training

TURNS = '[[0.0, 0.4, "ann"], [0.3, 0.9, "bob"]]'


def write_trials(target: Path, seed: int) -> None:
    """Calibrated scores of 200 trials, with their DET curve."""
    draw, targets = np.random.default_rng(seed), np.arange(200) % 2 == 0
    scores = draw.normal(size=200) + 2 * targets
    folder = write_result(target, "step_100", "trials", {"eer": 0.1}, predicts="trials")
    (folder / "det.json").write_text(json.dumps([vars(p) for p in TrialScores(scores, targets).det_curve()]))
    with open(folder / "predictions.csv", "w", newline="") as file:
        rows = [(f"a{n % 20}", f"b{n}", int(t), s, 2 * s - 2) for n, (t, s) in enumerate(zip(targets, scores))]
        csv.writer(file).writerows([("id1", "id2", "label", "score", "llr"), *rows])


@pytest.fixture
def folders(tmp_path) -> list[Path]:
    """Two runs with texts, turns and trials, hostile text among them."""
    targets = [tmp_path / name for name in ("one", "two")]
    for number, target in enumerate(targets):
        write_training(target)
        columns = ("word_errors", "word_reference_length")
        texts = [(f"u{n}", f"a {SCRIPT}", "a b" if n % 2 == number else "a", (n + number) % 2, 2) for n in range(4)]
        turns = [("r1", TURNS, TURNS if number else "[]", number, 1)]
        for name, rows, predicts in (("texts", texts, "text"), ("turns", turns, "turns")):
            folder = write_result(target, "step_100", name, {"wer": 0.5}, rows, predicts, columns)
            declare(folder, {"wer": {"kind": "rate", "label": "WER", "of": list(columns)}}, {"wer": [0.4, 0.6]})
        write_trials(target, number)
        write_report(target, target / "report")
    return targets


def declare(folder: Path, declarations: dict, intervals: dict) -> None:
    content = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps(content | {"declarations": declarations, "intervals": intervals}))


def test_the_page_shows_texts_turns_and_trials_where_the_runs_differ(folders):
    runs = finished(folders)
    page = comparison_page(runs, metric_rows(runs), pairs_of(*runs), [{"seed": 1}, {"seed": 2}])
    for title in ("texts", "turns", "trials"):
        assert f"<h2>Where two differs most on {title}</h2>" in page
    assert page.count("<script") == 1 and "alert(1)" in page
    assert "DET curves on trials" in page and "validation WER" in page and "training loss" in page
    assert page.count('class="chart wide"') == 2  # the turns of both
    assert "same speaker" in page and "llr " in page and '<td class="interval"><svg' in page
    assert '<td dir="auto">seed</td>' in page


def test_a_report_of_an_earlier_version_is_refused_with_what_to_type(folders):
    (folders[1] / "report" / "results.json").write_text('{"best": {}}')
    with pytest.raises(
        ConfigError, match=r"has no 'metric': an earlier version wrote it; run stage 4 again .*--start 4"
    ):
        finished(folders)
    with pytest.raises(ConfigError, match="the same run is given twice"):
        finished([folders[0], folders[0]])
