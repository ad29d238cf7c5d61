"""One trained model, tested in many ways: nothing is trained again, and the choice is made on validation data."""

from __future__ import annotations

import json
import logging

import pytest

import problems
from dataset.language.ngrams import learn, write_arpa
from problems.asr import ASR
from problems.asv import ASV
from problems.engine.cli.main import execute
from tests.problems.test_asv import command


def digests(folder):
    return {path: path.read_bytes() for path in sorted((folder / "train").rglob("*")) if path.is_file()}


SETTINGS = (
    "[{name: cosine}, {name: score, scoring.enrolment: score}, {name: lda, scoring.lda: 3},"
    " {name: norm2, scoring.as_norm: 2}, {name: norm3, scoring.as_norm: 3}]"
)


@pytest.fixture(scope="module")
def verifier(tmp_path_factory):
    folder = tmp_path_factory.mktemp("asv")
    assert execute(ASV(), command(folder)) == 0
    logging.getLogger().handlers.clear()
    return folder


def test_a_verifier_is_scored_in_five_ways_without_training(verifier, capfd):
    before = digests(verifier / "run")
    options = ["--start=3", f"--evaluate.settings={SETTINGS}", "--evaluate.dataset.cohort_per_speaker=3"]
    assert execute(ASV(), command(verifier, *options)) == 0
    assert digests(verifier / "run") == before
    out, err = capfd.readouterr()
    assert "== stage 2" not in err and "setting of step_" in out and "* best on the validation set (eer)" in out
    assert "as chosen on the validation set;" in out and "as published where the test set chooses" in out
    (choice,) = (verifier / "run" / "evaluate").glob("*/settings.json")
    content = json.loads(choice.read_text())
    assert list(content["settings"]) == ["cosine", "score", "lda", "norm2", "norm3"]
    valid = {name: own["valid"]["eer"] for name, own in content["settings"].items()}
    assert valid[content["chosen"]] == min(valid.values())
    paths = choice.parent.glob("*/*/result.json")
    results = sorted(path.parent.relative_to(choice.parent).as_posix() for path in paths)
    assert results == sorted(f"{test}/{name}" for test in ("pairs", "two") for name in content["settings"])
    scores = {name: (choice.parent / "pairs" / name / "scores.txt").read_text() for name in content["settings"]}
    assert len(set(scores.values())) >= 4, "each has its own scores"
    report = json.loads((verifier / "run" / "report" / "results.json").read_text())
    checkpoint = report["best"]["checkpoint"]
    assert report["settings"][checkpoint]["chosen"] == content["chosen"]
    chosen = json.loads((choice.parent / "pairs" / content["chosen"] / "result.json").read_text())
    assert report["checkpoints"][checkpoint]["pairs"]["eer"] == chosen["metrics"]["eer"]
    assert (chosen["test_set"], chosen["setting"]) == ("pairs", content["chosen"])
    assert execute(ASV(), ["status", f"--target_dir={verifier / 'run'}"]) == 0
    assert "on pairs with norm3: EER" in capfd.readouterr().out
    page = (verifier / "run" / "report" / "report.html").read_text()
    assert "Settings of step_" in page and "norm3" in page
    assert not list(choice.parent.glob(".records")), "what was kept for the settings is gone"
    assert execute(ASV(), command(verifier, *options)) == 0
    assert capfd.readouterr().err.count("done already") == 10


def test_a_setting_is_the_same_as_if_it_had_been_trained_with(verifier, tmp_path):
    scored = "{centre: true, as_norm: 3}"
    options = [f"--evaluate.task.scoring={scored}", "--evaluate.dataset.cohort_per_speaker=3", "--start=3"]
    assert execute(ASV(), command(verifier, *options)) == 0
    logging.getLogger().handlers.clear()
    trained = [f"--build_task.scoring={scored}", "--build_dataset.cohort_per_speaker=3", "--train.valid_metric=eer"]
    assert execute(ASV(), command(tmp_path, *trained, "--cache_dir", str(verifier / "cache"))) == 0

    def result(folder):
        (path,) = (folder / "run" / "evaluate").glob("*/pairs/result.json")
        return json.loads(path.read_text())

    one, other = result(verifier), result(tmp_path)
    if one["checkpoint"] == other["checkpoint"]:
        assert one["metrics"] == pytest.approx(other["metrics"], abs=1e-6)


def test_what_the_data_do_not_allow_is_a_message(verifier, capfd):
    options = ["--start=3", "--evaluate.task.scoring.lda=50", "--evaluate.dataset.cohort_per_speaker=3"]
    assert execute(ASV(), command(verifier, *options)) == 2
    err = capfd.readouterr().err
    assert "error: evaluate: lda is 50: expected at most" in err and "Traceback" not in err


def test_retraining_is_offered_beside_testing_anew(verifier, capfd):
    assert execute(ASV(), command(verifier, "--start=3", "--build_task.scoring.enrolment=score")) in (1, 2)
    assert "--evaluate.task.scoring.enrolment" in capfd.readouterr().err


def test_decoding_is_free_under_a_training(tiny, tmp_path, capfd):
    assert execute(ASR(), ["run", *tiny]) == 0
    before = digests(tmp_path / "run")
    beam = "--build_task.decode={name: beam, beam: 4, lm: train, nbest: 2}"
    assert execute(ASR(), ["run", *tiny, beam]) == 0
    assert digests(tmp_path / "run") == before
    err = capfd.readouterr().err
    assert err.count("== stage 2") == 1 and err.count("== stage 3") == 2
    (path,) = (tmp_path / "run" / "evaluate").glob("*/test/predictions.csv")
    assert path.read_text().splitlines()[0].startswith("id,reference,hypothesis,words,nbest")
    assert execute(ASR(), ["run", *tiny, "--evaluate.settings={decode.beam: [2, 3], decode.name: beam}"]) == 0
    (choice,) = (tmp_path / "run" / "evaluate").glob("*/settings.json")
    assert list(json.loads(choice.read_text())["settings"]) == ["beam=2,name=beam", "beam=3,name=beam"]
    assert execute(ASR(), ["run", *tiny, "--evaluate.task.decode.beam=none"]) == 2
    assert execute(ASR(), ["run", *tiny, beam]) == 0
    assert not choice.exists()
    report = json.loads((tmp_path / "run" / "report" / "results.json").read_text())
    assert report["settings"] == {}


def test_the_choice_follows_the_settings_that_there_are(tiny, tmp_path):
    def run(settings, *more):
        assert execute(ASR(), ["run", *tiny, f"--evaluate.settings={settings}", *more]) == 0
        (choice,) = (tmp_path / "run" / "evaluate").glob("*/settings.json")
        return json.loads(choice.read_text())

    beams = [f"{{name: b{n}, decode.name: beam, decode.beam: {n}}}" for n in (1, 2, 3)]
    content = run(f"[{', '.join(beams)}]")
    assert list(content["settings"]) == ["b1", "b2", "b3"] and content["chosen"] in content["settings"]
    content = run(f"[{', '.join(beams[1:])}]")
    assert list(content["settings"]) == ["b2", "b3"] and content["chosen"] in content["settings"]


def test_another_validation_set_chooses_anew_and_calibrates_anew(tiny, tones, tmp_path, capfd):
    assert execute(ASR(), ["run", *tiny, "--stop=2"]) == 0
    fewer = tmp_path / "data" / "fewer.csv"
    fewer.parent.mkdir()
    lines = (tones / "valid.csv").read_text().splitlines()
    rows = [line.replace(line.split(",")[1], str(tones / line.split(",")[1])) for line in lines[1:4]]
    fewer.write_text("\n".join([lines[0], *rows]) + "\n")
    ways = "[{name: greedy}, {name: b2, decode.name: beam, decode.beam: 2}]"
    elsewhere = [f"--target_dir={tmp_path / 'elsewhere'}", f"--test_ckpt_dir={tmp_path / 'run'}"]

    def run(*more):
        assert execute(ASR(), ["run", *tiny, *elsewhere, f"--evaluate.settings={ways}", *more]) == 0
        (path,) = (tmp_path / "elsewhere" / "evaluate").glob("*/settings.json")
        return json.loads(path.read_text()), capfd.readouterr().err

    first, _ = run()
    again, err = run()
    assert again == first and "== stage 3" not in err
    other, err = run(f"--prepare_data.valid={fewer}")
    assert other["data"] != first["data"] and "== stage 3" in err
    for name in ("greedy", "b2"):
        assert other["settings"][name]["valid"]["utterances"] == 3 < first["settings"][name]["valid"]["utterances"]


def test_settings_are_tested_without_a_validation_set(tiny, tmp_path, capfd):
    none = ["--prepare_data.valid=null", "--prepare_data.valid_fraction=0", "--train.valid_metric=null"]
    options = [option for option in tiny if not option.startswith("--prepare_data.valid")]
    settings = "--evaluate.settings=[{name: greedy}, {name: beam, decode.name: beam}]"
    assert execute(ASR(), ["run", *options, *none, settings]) == 0
    report = json.loads((tmp_path / "run" / "report" / "results.json").read_text())
    (own,) = report["settings"].values()
    assert own["chosen"] == "greedy" and set(own["test"]) == {"greedy", "beam"} and report["checkpoints"]
    assert "there is no validation set" in capfd.readouterr().err


def test_another_language_model_in_the_same_file_is_tested_anew(tiny, tmp_path, capfd):
    path = tmp_path / "lm.arpa"
    write_arpa(learn(["ba ku", "ku ba"], 2), path)
    options = ["run", *tiny, f"--build_task.decode={{name: beam, beam: 2, lm: {path}}}"]
    assert execute(ASR(), options) == 0
    capfd.readouterr()
    assert execute(ASR(), options) == 0 and "== stage 3" not in capfd.readouterr().err
    write_arpa(learn(["ba ba ba"], 2), path)
    assert execute(ASR(), options) == 0
    err = capfd.readouterr().err
    assert "== stage 3" in err and "== stage 2" not in err and "done already" not in err


def test_a_checkpoint_that_was_trained_with_a_language_model_holds_it(tiny, tones, tmp_path):
    beam = "--build_task.decode={name: beam, beam: 4, lm: train}"
    assert execute(ASR(), ["run", *tiny, beam]) == 0
    model = problems.load(str(tmp_path / "run"))
    assert model.task.decoder.scoring.model is not None
    assert isinstance(model.predict(next(tones.rglob("*.wav"))).text, str)


def test_a_language_model_that_does_not_exist_is_named(tiny, tmp_path, capfd):
    none = "--build_task.decode={name: beam, lm: none.arpa}"
    assert execute(ASR(), ["run", *tiny, none]) == 2
    message = capfd.readouterr().err
    assert "there is no file none.arpa" in message and "== stage" not in message
