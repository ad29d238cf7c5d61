"""The analysis of a test: intervals over speakers, metrics by group, and mistakes in what is asked for."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from problems.asr import ASR
from problems.engine.cli.main import execute
from problems.engine.loops.analysis import Analysis
from problems.engine.runtime.errors import ConfigError
from tasks.base import Task
from tasks.metrics.kinds import Rate
from tests.conftest import write_table
from tests.parts.samplers import Lengths

RANDOM = np.random.default_rng(0)
SPEAKERS = [f"s{i % 8}" for i in range(80)]


class Errors(Task):
    metrics = {"rate": Rate(better="lower", of=("errors", "words"))}

    def __init__(self):
        super().__init__(None)


class Pairs(Errors):
    """As trials: each utterance is a pair of itself and the next one."""

    paired = True

    def resampled(self, mode, records, weights, test_weights=None):
        other = weights if test_weights is None else test_weights
        return super().resampled(mode, records, weights * np.roll(other, -1, axis=1))


class Data(Lengths):
    class table:
        columns = ("speaker", "gender", "snr")


RECORDS = {"id": [f"u{i}" for i in range(80)], "errors": (RANDOM.random(80) < 0.3).astype(int), "words": [5] * 80}
DATA = Data(np.linspace(0.5, 8, 80), speaker=SPEAKERS, gender=["f", "m"] * 40, snr=[str(i % 20) for i in range(80)])


def run(analysis, task=None, data=DATA, indices=range(80)):
    analysis.check(data)
    return analysis.run(task or Errors(), "test", RECORDS, data, indices)


def test_intervals_are_over_speakers_if_they_are_known():
    result = run(Analysis())
    assert result["resampling"] == {"unit": "speaker", "units": 8, "resamples": 1000} and "groups" not in result
    low, high = result["intervals"]["rate"]
    assert low < sum(RECORDS["errors"]) / 400 < high
    alone = run(Analysis(), data=Data(DATA.seconds, speaker=[""] * 80, gender=["f"] * 80, snr=["1"] * 80))
    assert alone["resampling"] == {"unit": "utterance", "units": 80, "resamples": 1000}
    assert run(Analysis(unit="gender"))["resampling"]["units"] == 2
    assert run(Analysis(resamples=0)) == {}


def test_each_group_has_its_metrics_with_counts_and_intervals():
    groups = run(Analysis(["gender", {"seconds": [2, 5]}, {"snr": [10]}], 50))["groups"]
    assert list(groups) == ["gender", "seconds", "snr"]
    for place, name in enumerate(("f", "m")):
        own = groups["gender"][name]
        expected = RECORDS["errors"][place::2].sum() / 200
        assert own["utterances"] == 40 and own["metrics"]["rate"] == pytest.approx(expected)
        low, high = own["intervals"]["rate"]
        assert low <= expected <= high
    assert list(groups["seconds"]) == ["below 2", "2 to 5", "from 5"], "from low to high"
    assert sum(own["utterances"] for own in groups["seconds"].values()) == 80
    assert list(groups["snr"]) == ["below 10", "from 10"]


def test_indices_say_which_utterances_the_records_are_of():
    places = list(range(40, 80)) + list(range(40))
    groups = run(Analysis(["gender"], 10), indices=places[1:] + places[:1])["groups"]
    assert groups["gender"]["f"]["metrics"]["rate"] == pytest.approx(RECORDS["errors"][1::2].sum() / 200)


def test_trials_are_grouped_by_the_pair_of_their_sides():
    groups = run(Analysis(["gender"], 20), Pairs())["groups"]
    assert list(groups["gender"]) == ["f / f", "f / m", "m / f", "m / m"]
    assert groups["gender"]["f / m"]["metrics"]["rate"] == pytest.approx(RECORDS["errors"][::2].sum() / 200)
    assert np.isnan(groups["gender"]["f / f"]["metrics"]["rate"]), "there is no such pair"


@pytest.mark.parametrize(
    "analysis, message",
    [
        (Analysis(["gendr"]), "no column 'gendr' .did you mean 'gender'.*the columns are speaker, gender, snr"),
        (Analysis([{"gender": [1]}]), "the column 'gender' has edges, but a cell is no number"),
        (Analysis([{"seconds": [5, 2]}]), "expected a column, or .column: .rising edges"),
        (Analysis([{"seconds": 3}]), "expected a column, or"),
        (Analysis([3]), "expected a column, or .* got 3"),
        (Analysis(unit="recording"), "evaluate.unit: there is no column 'recording'"),
    ],
)
def test_mistakes_are_named_before_anything_is_computed(analysis, message):
    with pytest.raises(ConfigError, match=message):
        analysis.check(DATA)


def test_a_whole_run_shows_intervals_and_groups(tiny, tones, tmp_path, capfd):
    with open(tones / "test.csv", newline="", encoding="utf-8") as file:
        rows = [
            {**row, "speaker": f"s{i % 3}", "accent <i>": "ab"[i % 2]} for i, row in enumerate(csv.DictReader(file))
        ]
    table = write_table(tmp_path / "test.csv", rows)
    options = ["run", *tiny, f"--prepare_data.test={table}", "--evaluate.groups=['accent <i>']"]
    assert execute(ASR(), options) == 0
    out = capfd.readouterr().out
    assert "95% interval" in out and "accent <i>  utterances" in out
    (path,) = (tmp_path / "run" / "evaluate").glob("step_*/test/result.json")
    result = json.loads(path.read_text())
    assert result["resampling"] == {"unit": "speaker", "units": 3, "resamples": 1000}
    low, high = result["intervals"]["wer"]
    assert low <= result["metrics"]["wer"] <= high
    assert set(result["groups"]["accent <i>"]) == {"a", "b"}
    page = (tmp_path / "run" / "report" / "report.html").read_text()
    assert "1,000 draws of 3 speakers" in page and "test by accent &lt;i&gt;" in page
    report = json.loads((tmp_path / "run" / "report" / "results.json").read_text())
    checkpoint = report["best"]["checkpoint"]
    assert report["intervals"][checkpoint]["test"]["wer"] == [low, high]
    assert "its intervals are of 3 speakers only, too few to rely on" in page
    before = path.read_bytes()
    assert execute(ASR(), [*options[:-1], "--evaluate.groups=[accnt]"]) == 2
    assert "did you mean 'accent <i>'" in capfd.readouterr().err
    assert path.read_bytes() == before, "a mistake costs no result"
