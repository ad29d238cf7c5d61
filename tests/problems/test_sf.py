"""Slot filling: tones stand for words; what follows a first tone is the value of a slot."""

from __future__ import annotations

import json

import pandas as pd
import pytest

import problems
from problems.engine.cli.main import execute
from problems.sf import SF


@pytest.fixture
def tables(tones, tmp_path):
    """The corpus of tones, with the last word of each utterance as the value of a slot, and an intent."""
    for name in ("train", "valid", "test"):
        table = pd.read_csv(tones / f"{name}.csv")
        last = table["transcription"].str.split().str[-1]
        table["slots"] = [json.dumps([["last", word]]) for word in last]
        table["aim"] = ["long" if " " in text else "short" for text in table["transcription"]]
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    return tmp_path


@pytest.fixture
def run(tiny, tables):
    def start(*options: str, code: int = 0):
        plain = [o for o in tiny if not o.startswith(("--prepare_data.t", "--prepare_data.v"))]
        data = [f"--prepare_data.{name}={tables / name}.csv" for name in ("train", "valid", "test")]
        assert execute(SF(), ["run", *plain, *data, *options]) == code
        return tables / "run"

    return start


def test_slots_and_intents_are_learnt(run):
    options = ["--prepare_data.intent_column=aim", "--train.total_steps=150", "--train.eval_step=75"]
    target = run(*options, "--train.save_step=75", "--build_downstream.conf.hidden_size=[48]")
    (path,) = (target / "evaluate").glob("*/test/result.json")
    metrics = json.loads(path.read_text())["metrics"]
    assert metrics["slot_type_f1"] > 0.8 and metrics["intent_accuracy"] > 0.6
    assert metrics["slot_f1"] <= metrics["slurp_f1"] <= 1 and 0 <= metrics["slot_value_cer"] < 0.5
    predictions = pd.read_csv(path.parent / "predictions.csv")
    assert predictions["reference"].str.contains("⟦last ").all()
    audio = pd.read_csv(target / "data" / "test.csv")["wav_path"][0]
    text = str(problems.load(str(target)).predict(audio))
    assert text == predictions["hypothesis"][0]


def test_a_slot_that_only_the_test_has_is_refused_unless_it_is_listed(run, tables, capfd):
    table = pd.read_csv(tables / "test.csv")
    table.loc[2, "slots"] = table.loc[2, "slots"].replace("last", "new")
    table.to_csv(tables / "test.csv", index=False)
    run("--stop=1", code=2)
    message = capfd.readouterr().err
    assert "'new' does not occur in the training set" in message and table["id"][2] in message
    run("--stop=1", "--build_encoder.conf.slots=[new]")


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--prepare_data.slots_column=entities", "has no column 'entities'"),
        ("--prepare_data.slots_column=transcription", "slots: expected JSON"),
    ],
)
def test_wrong_columns_are_named(run, capfd, option, words):
    run("--stop=1", option, code=1)
    assert words in capfd.readouterr().err


def test_an_intent_that_only_the_test_has_is_refused_unless_it_is_listed(run, tables, capfd):
    table = pd.read_csv(tables / "test.csv")
    table.loc[2, "aim"] = "stop"
    table.to_csv(tables / "test.csv", index=False)
    run("--stop=1", "--prepare_data.intent_column=aim", code=2)
    assert "--build_encoder.conf.intents [stop]" in capfd.readouterr().err
    run("--stop=1", "--prepare_data.intent_column=aim", "--build_encoder.conf.intents=[stop]")


def test_a_training_of_no_steps_goes_on(run, tables):
    run("--train.total_steps=0", "--stop=2")
    target = run("--train.total_steps=4", "--stop=2")
    assert (target / "train" / "step_00000004").is_dir()
