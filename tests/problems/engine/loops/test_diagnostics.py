"""Trials of stage 2: what they say, and that they leave nothing behind."""

from __future__ import annotations

import json
import logging
import re
import warnings

import pytest
import torch

from problems.asr import ASR
from problems.engine.cli.main import execute
from problems.engine.config import sections
from problems.engine.loops import diagnostics
from problems.engine.loops.base import Callback


def run(options, *more):
    assert execute(ASR(), ["run", *options, *more]) in (0, None)


def trees(folder):
    return {p.relative_to(folder): p.stat().st_mtime_ns for p in (folder / "train").rglob("*")}


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.INFO)
    return lambda: "\n".join(r.getMessage() for r in caplog.records)


def test_a_dry_run_reads_an_epoch_and_says_how_fast(tiny, tmp_path, said):
    run(tiny, "--train.dry_run=true")
    rate = re.search(r"dry run: 6 batches, 22 utterances per epoch; (\S+) batches/s", said())
    assert rate and float(rate[1]) > 0
    assert not (tmp_path / "run" / "train").exists() and not (tmp_path / "run" / "report").exists()


def test_steps_without_an_optimizer_say_where_the_time_goes(tiny, tmp_path, said):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torch warns of a schedule that is stepped before its optimizer
        run(tiny, "--train.no_optim=true", "--train.use_scheduler=true")
    assert re.search(r"no_optim: \S+ s per step: \d+ % waiting for data", said())
    assert ("GPU memory" in said()) == torch.cuda.is_available()
    assert not (tmp_path / "run" / "train").exists()


@pytest.mark.parametrize(("rate", "verdict"), [("0.02", "the model can fit it"), ("0.0", "THE MODEL DID NOT FIT IT")])
def test_one_batch_is_learnt_or_not(tiny, tmp_path, said, rate, verdict):
    plain = [
        "--build_downstream.conf.dropout=0",
        "--build_model.specaug=null",
        "--train.total_steps=80",
        "--train.log_step=40",
    ]
    run(tiny, *plain, "--train.overfit_one_batch=true", f"--build_optimizer.conf.lr={rate}")
    assert re.search(rf"loss \S+ to \S+ in 80 steps: {verdict}", said())
    assert re.findall(r"^  step (\d+)  loss", said(), re.M) == ["40", "80"]
    assert not (tmp_path / "run" / "train").exists()


def test_a_trial_beside_a_training_touches_nothing_of_it(tiny, tmp_path, said):
    run(tiny)
    before, stages = trees(tmp_path / "run"), (tmp_path / "run" / "stages.json").read_text()
    run(tiny, "--train.no_optim=true", "--build_optimizer.conf.lr=0.5")
    assert trees(tmp_path / "run") == before
    assert json.loads((tmp_path / "run" / "stages.json").read_text()) == json.loads(stages)


def test_one_trial_at_a_time(tiny, capsys):
    assert execute(ASR(), ["run", *tiny, "--train.dry_run=true", "--train.no_optim=true"]) == 2
    assert "dry_run and no_optim are on: turn on only one" in capsys.readouterr().err


def test_each_key_of_a_diagnostic_has_one():
    assert tuple(diagnostics.DIAGNOSTICS) == sections.DIAGNOSTICS


class Counting(Callback):
    """Counts the starts of a training."""

    starts = 0

    def on_fit_start(self, loop):
        Counting.starts += 1


class CountingASR(ASR):
    callbacks = (Counting(),)


@pytest.mark.parametrize("diagnostic", ["no_optim", "overfit_one_batch"])
def test_a_diagnostic_begins_as_a_training_does(tiny, diagnostic):
    Counting.starts = 0
    assert execute(CountingASR(), ["run", *tiny, f"--train.{diagnostic}=true", "--train.total_steps=2"]) in (0, None)
    assert Counting.starts == 1
