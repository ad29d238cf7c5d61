"""Loggers beside TensorBoard get the rows of the history, without a network; one that fails ends no training."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from problems.asr import ASR
from problems.engine.cli.main import execute
from problems.engine.loops.monitoring import loggers
from problems.engine.loops.monitoring.history import Sink
from problems.engine.report.history import read_history, read_samples
from problems.engine.runtime.checkpoint_names import name_of
from problems.engine.runtime.errors import ConfigError


def rows_of(train_dir, split, name):
    return {row["step"]: row[name] for row in read_history(train_dir) if row["split"] == split}


def test_mlflow_has_the_rows_of_the_history_also_after_a_resume(tiny, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed: pip install 'soundstage[mlflow]'")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    options = ["run", *tiny, "--train.loggers=[{name: mlflow, conf: {experiment: tones}}]", "--stop=2"]
    assert execute(ASR(), options) == 0
    assert execute(ASR(), [*options, "--train.total_steps=12"]) == 0
    train_dir = tmp_path / "run" / "train"
    client = mlflow.MlflowClient(tracking_uri=(train_dir / "mlruns").as_uri())
    (run,) = client.search_runs([client.get_experiment_by_name("tones").experiment_id])
    assert run.info.status == "FINISHED" and (train_dir / "mlflow_run").read_text().strip() == run.info.run_id
    for split, name in (("train", "loss"), ("valid", "wer")):
        logged = {metric.step: metric.value for metric in client.get_metric_history(run.info.run_id, f"{split}/{name}")}
        assert logged == pytest.approx(rows_of(train_dir, split, name)) and max(logged) == 12
    assert {own.path for own in client.list_artifacts(run.info.run_id)} == {"config.yaml", "samples"}
    shown = {row["step"]: row["samples"] for row in read_samples(train_dir)}
    texts = {own.path for own in client.list_artifacts(run.info.run_id, "samples")}
    assert texts == {f"samples/{name_of(step)}.txt" for step in shown} and max(shown) == 12
    text = Path(client.download_artifacts(run.info.run_id, f"samples/{name_of(8)}.txt", str(tmp_path))).read_text()
    assert all(f"{own['id']}\n  reference:  {own['reference']}" in text for own in shown[8])


def test_wandb_works_without_a_network_and_sends_nothing(tiny, tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="wandb is not installed: pip install 'soundstage[wandb]'")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nobody listens there
    assert execute(ASR(), ["run", *tiny, "--train.loggers=[wandb]", "--stop=2"]) == 0
    train_dir = tmp_path / "run" / "train"
    (folder,) = (train_dir / "wandb").glob("offline-run-*")
    (record,) = folder.glob("run-*.wandb")
    content = record.read_bytes()
    assert b"valid/wer" in content and b"train/loss" in content
    tables = [json.loads(path.read_text()) for path in folder.rglob("samples_*.table.json")]
    shown = [
        [[own[name] for name in table["columns"]] for own in row["samples"]]
        for row in read_samples(train_dir)
        for table in tables[:1]
    ]
    assert sorted(table["data"] for table in tables) == sorted(shown) and len(tables) == 2
    assert record.stem.removeprefix("run-") == (train_dir / "wandb_run").read_text().strip()


class Broken(Sink):
    """A logger that works until its third row."""

    def __init__(self, train_dir, config, after: int = 2):
        self.rows, self.after, self.path = [], after, train_dir / "rows.json"

    def log(self, split, step, epoch, values):
        if len(self.rows) == self.after:
            raise OSError("no route to host\nand more")
        self.rows.append([split, step])
        self.path.write_text(json.dumps(self.rows))


def test_a_logger_that_fails_is_warned_of_once_and_the_training_goes_on(tiny, tmp_path, caplog):
    entry = f"{{name: '{__name__}:Broken', conf: {{after: 3}}}}"
    with caplog.at_level(logging.WARNING):
        assert execute(ASR(), ["run", *tiny, f"--train.loggers=[{entry}]", "--stop=2"]) == 0
    assert len(json.loads((tmp_path / "run" / "train" / "rows.json").read_text())) == 3
    (warning,) = [r.getMessage() for r in caplog.records if "the logger" in r.getMessage()]
    assert warning.endswith("failed, and the training goes on without it: OSError: no route to host")
    assert (tmp_path / "run" / "train" / "step_00000008").is_dir()


def test_a_missing_library_is_refused_before_any_work_with_its_extra(tiny, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(loggers, "find_spec", lambda name: None)
    assert execute(ASR(), ["run", *tiny, "--train.loggers=[wandb]"]) == 2
    assert "wandb is not installed: pip install 'soundstage[wandb]'" in capfd.readouterr().err
    assert not (tmp_path / "run" / "data").exists()


def test_a_logger_of_the_training_is_not_needed_to_test_it(tiny, tmp_path, monkeypatch):
    assert execute(ASR(), ["run", *tiny, "--stop=2"]) == 0
    monkeypatch.setattr(loggers, "find_spec", lambda name: None)
    assert execute(ASR(), ["run", *tiny, "--train.loggers=[wandb]", "--start=3", "--stop=3"]) == 0


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (["wandbb"], "unknown name 'wandbb', did you mean 'wandb'|unknown name 'wandbb'"),
        ([3], "has the entry 3: expected wandb, mlflow"),
        ([{"name": "wandb", "project": "x"}], "has the entry"),
    ],
)
def test_wrong_entries_are_refused_by_name(entries, message):
    with pytest.raises(ConfigError, match=message):
        loggers.check_loggers(entries)
