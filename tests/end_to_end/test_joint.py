"""CTC with an attention decoder through all stages: trained, resumed, tested in many ways, exported."""

from __future__ import annotations

import json
import shutil

import pytest

import problems
from dataset.metadata import read_csv
from problems.asr import ASR
from problems.engine.cli.main import execute
from problems.pr import PR
from tests.conftest import tiny_options
from tests.end_to_end.test_resume import Runs, chain
from tests.end_to_end.test_test_settings import digests

HEAD = ["--build_downstream.name=conformer", "--build_downstream.conf.stack=2"]
HEAD += [f"--build_downstream.conf.{key}={value}" for key, value in
         {"size": 16, "layers": 1, "heads": 2, "feedforward": 24, "kernel": 5, "dropout": 0.1}.items()]  # fmt: skip
JOINT = "--build_model.attention={size: 12, layers: 1, heads: 2, feedforward: 24}"
LEARN = ["--train.total_steps=400", "--train.eval_step=400", "--train.save_step=400", "--build_model.specaug=null",
         "--build_optimizer.conf.lr=0.003", "--build_downstream.conf.dropout=0"]  # fmt: skip


def options(data, folder) -> list[str]:
    given = [own for own in tiny_options(data, folder) if not own.startswith("--build_downstream")]
    return [*given, *HEAD, JOINT]


@pytest.fixture(scope="module")
def learned(tones, tmp_path_factory):
    """A target folder, and the options of its run."""
    folder = tmp_path_factory.mktemp("joint")
    used = [*options(tones, folder), *LEARN]
    assert execute(ASR(), ["run", *used]) == 0
    return folder / "run", used


def result(target, setting="") -> dict:
    (path,) = (target / "evaluate").glob(f"*/test/{setting}/result.json")
    return json.loads(path.read_text())["metrics"]


def test_a_trained_model_is_tested_in_many_ways_and_nothing_is_trained_again(learned):
    target, used = learned
    before = digests(target)
    settings = (
        "[{name: ctc}, {name: both, decode.name: joint}, {name: attention, decode.name: joint, decode.ctc_weight: 0}]"
    )
    assert execute(ASR(), ["run", *used, f"--evaluate.settings={settings}"]) == 0
    assert digests(target) == before
    metrics = {name: result(target, name) for name in ("ctc", "both", "attention")}
    assert metrics["both"]["wer"] < 0.2 and metrics["ctc"]["wer"] < 0.4 and metrics["attention"]["wer"] < 0.6, metrics
    assert metrics["ctc"]["token_accuracy"] > 0.8 and metrics["ctc"]["loss_ctc"] > 0
    (choice,) = (target / "evaluate").glob("*/settings.json")
    assert json.loads(choice.read_text())["chosen"] in metrics
    page = (target / "report" / "report.html").read_text()
    assert "token accuracy" in page and "attention loss" in page


def test_an_exported_model_predicts_the_same_by_any_decoder(learned, tones, tmp_path, capfd):
    target, _ = learned
    assert execute(ASR(), ["export", "--ckpt", str(target), str(tmp_path / "model")]) == 0
    folder = shutil.move(tmp_path / "model", tmp_path / "moved")
    files = sorted((tones / "test").glob("*.wav"))
    for task in ({}, {"decode.name": "joint", "decode.nbest": 2}):
        own, exported = (problems.load(str(place), device="cpu", task=task) for place in (target, folder))
        texts = list(own.predict(files))
        assert list(exported.predict(files)) == texts
        assert all(len(one.nbest) == 2 for one in texts) or not task
        parameters = exported.card["parameters"]
        assert (
            sum(p.numel() for p in own.model.parameters() if p.requires_grad) == parameters["all"] == parameters["head"]
        )
    capfd.readouterr()
    command = ["predict", "--ckpt", str(folder), "--task.decode.name", "joint", *map(str, files)]
    assert execute(ASR(), command) == 0
    assert [line.split("\t")[-1] for line in capfd.readouterr().out.splitlines()] == [str(one) for one in texts]


def test_predictions_and_exports_have_the_confidence_that_a_test_has_calibrated(learned, tones, tmp_path):
    target, used = learned
    assert execute(ASR(), ["run", *used, "--start=3", "--build_task.decode={name: beam, beam: 4}"]) == 0
    (path,) = (target / "evaluate").glob("*/test/predictions.csv")
    table = read_csv(path, ("id", "words"))
    words = [word for own in table["words"] for word in json.loads(own)]
    assert any(word["confidence"] != word["raw_confidence"] for word in words)
    waves = read_csv(target / "data" / "test.csv", ("id", "wav_path")).set_index("id").loc[table["id"], "wav_path"]
    beam = {"decode.name": "beam", "decode.beam": 4}
    own = problems.load(str(target), device="cpu", task=beam)
    assert execute(ASR(), ["export", "--ckpt", str(target), str(tmp_path / "model")]) == 0
    for model in (own, problems.load(str(tmp_path / "model"), device="cpu", task=beam)):
        confidences = [word.confidence for result in model.predict(list(waves)) for word in result.words]
        assert confidences == pytest.approx([word["confidence"] for word in words], abs=2e-3)
    other = problems.load(str(target), device="cpu", task=beam | {"decode.beam": 3})
    assert other.learnt is None and other.task.needs_validation, "nothing was learnt with other settings"


def test_a_training_that_is_killed_ends_as_one_that_is_not(tones, tmp_path):
    whole, used = tmp_path / "whole", options(tones, tmp_path)
    whole.mkdir()
    Runs(whole, used).finish("run")
    runs = Runs(tmp_path, used, whole / "run" / "train")
    assert chain(runs, ["writing", "anywhere"], seed=3) == {"writing": 1, "anywhere": 1}


def test_the_losses_may_have_optimizers_of_their_own(tones, tmp_path):
    optimizers = (
        "{attention: {name: Adam, conf: {lr: 0.01}, updated_modules: [attention_decoder], optim_loss: loss_attention},"
        " rest: {name: Adam, conf: {lr: 0.01}, updated_modules: [downstream]}}"
    )
    used = [own for own in options(tones, tmp_path) if not own.startswith("--build_optimizer")]
    assert execute(ASR(), ["run", *used, f"--build_optimizer.optimizers={optimizers}", "--stop=2"]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--build_task.decode.name=joint"], "build_task.decode.name joint is for a model with an attention decoder"),
        (["--build_task.ctc_weight=0.5"], "build_task.ctc_weight is for a model with an attention decoder"),
        (["--build_model.attention={size: 10, heads: 4}"], "heads is 4 and size 10"),
        (["--build_model.attention={sizes: 10}"], "sizes"),
        (["--build_task.decode.ctc_weight=2"], "build_task.decode.ctc_weight"),
    ],
)
def test_a_wrong_setting_is_refused_before_any_work(tones, tmp_path, capfd, words, message):
    used = [own for own in options(tones, tmp_path) if own != JOINT]
    assert execute(ASR(), ["run", *used, *words]) == 2
    assert message in capfd.readouterr().err and not (tmp_path / "run" / "train").exists()


def test_other_problems_have_no_such_decoder(capfd):
    assert execute(PR(), ["config", JOINT]) == 2
    assert "attention" in capfd.readouterr().err
