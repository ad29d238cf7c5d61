"""Several validation sets: each has the metrics that it would have alone, and one of them may choose."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from problems.asr import ASR
from problems.engine.cli.main import execute
from problems.engine.loops.valid_sets import metrics_by_set, sets_of, with_declarations
from problems.engine.report.curves import curves
from problems.engine.report.history import read_history
from problems.engine.report.read import read_run
from tasks.classification import ClassificationTask
from tests.conftest import write_table
from tests.parts.classifiers import COLOURS, Echo, Labels, batch


def test_the_metrics_of_a_set_are_those_of_its_utterances_alone():
    task = ClassificationTask(Echo(4), Labels(COLOURS)).eval()
    records = task("valid", **batch([0, 1, 1, 3, 2, 1], 4)).records
    sets = np.array(["a", "b", "a", "b", "b", "a"])
    metrics = metrics_by_set(task, "valid", records, sets)
    assert {"accuracy/a", "macro_f1/b", "loss/a"} <= set(metrics) and not any("utterances" in m for m in metrics)
    for name in "ab":
        own = {key: [v for v, s in zip(values, sets) if s == name] for key, values in records.items()}
        alone = task.reduction("valid", own)
        expected = {key: alone[key.partition("/")[0]] for key in metrics if key.endswith(f"/{name}")}
        assert {key: metrics[key] for key in expected} == pytest.approx(expected)
    declared = with_declarations(task.metrics, ["a"])
    assert declared["accuracy/a"].better == "higher" and declared["accuracy/a"].heading("accuracy/a") == "accuracy a"


def test_one_set_or_none_is_no_several_sets(tones):
    from dataset.utterances import Utterances

    class OneCorpus(Utterances):
        def column(self, name):
            return ["same"] * len(self)

    for kind in (Utterances, OneCorpus):
        assert sets_of(kind(write_table(tones / "one.csv", [{"id": "a", "wav_path": "a.wav", "seconds": "1"}]))) is None


@pytest.fixture
def options(tiny, tones, tmp_path):
    """Options for a run with the validation sets ``few`` and ``many``."""
    with open(tones / "valid.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    few, many = write_table(tmp_path / "few.csv", rows[:2]), write_table(tmp_path / "many.csv", rows[2:])
    own = [word for word in tiny if not word.startswith("--prepare_data.valid")]
    return [*own, f"--prepare_data.valid={{few: {few}, many: {many}}}", "--build_batch_sampler.valid.batch_size=2"]


def test_each_set_is_in_history_log_and_report_and_one_chooses(options, tmp_path, capfd):
    words = [*options, "--train.total_steps=24", "--train.eval_step=4", "--train.valid_metric=wer/few"]
    assert execute(ASR(), ["run", *words]) == 0
    run = tmp_path / "run"
    history = [row for row in read_history(run / "train") if row["split"] == "valid"]
    assert all({"wer", "wer/few", "wer/many", "loss/few"} <= set(row) for row in history)
    best = (run / "train" / "best.json").read_text()
    assert '"wer/few min"' in best
    chosen = min(history, key=lambda row: (row["wer/few"], row["loss"], row["step"]))["step"]
    assert f"step_{chosen:08}" in best
    line = next(line for line in capfd.readouterr().err.splitlines() if " valid  WER" in line)
    assert "WER few" in line and "WER many" in line and "CER few" not in line
    plots = {plot.title: plot for plot in curves(read_run(run))}
    assert [series.name for series in plots["validation WER"].series] == ["validation", "few", "many"]
    assert not any("few" in title for title in plots)
    results = json.loads((run / "report" / "results.json").read_text())
    assert results["metric"] == "wer" and results["validation"][0]["metric"] == "wer/few"
    assert results["declarations"]["wer/few"]["kind"] == "rate"


def test_a_set_that_is_not_there_is_named_with_those_that_are(options, capfd):
    assert execute(ASR(), ["run", *options, "--train.valid_metric=wer/fwe"]) == 2
    assert "validation has no metric 'wer/fwe' (did you mean 'wer/few'?)" in capfd.readouterr().err


def test_settings_of_a_test_are_chosen_by_the_same_set(options, tmp_path):
    settings = "--evaluate.settings=[{name: greedy}, {name: beam, decode.name: beam, decode.lm: null}]"
    assert execute(ASR(), ["run", *options, "--train.valid_metric=wer/few", settings]) == 0
    (choice,) = (tmp_path / "run" / "evaluate").glob("*/settings.json")
    choice = json.loads(choice.read_text())
    assert choice["metric"] == "wer/few" and choice["better"] == "lower"
    assert all("wer/few" in own["valid"] for own in choice["settings"].values())


def test_a_checkpoint_that_one_set_chooses_is_shown_with_its_tests(options, tmp_path, capfd):
    more = ["--train.valid_metric=wer/few", "--train.keep_num_ckpts=2", "--evaluate.ckpts=[best, last, 4]"]
    assert execute(ASR(), ["run", *options, "--train.save_step=4", *more]) == 0
    lines = capfd.readouterr().out.splitlines()
    (heading,) = (number for number, line in enumerate(lines) if "valid WER few" in line and "test WER" in line)
    rows = [line for line in lines[heading:] if line.startswith("step_")]
    assert rows and all(line.count("%") == 2 for line in rows)
    assert execute(ASR(), ["status", f"--target_dir={tmp_path / 'run'}"]) == 0
    lines = [line for line in capfd.readouterr().out.splitlines() if "(valid" in line]
    assert lines and all("%" in line.partition("(valid")[2] for line in lines)
