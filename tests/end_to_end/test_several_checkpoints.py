"""Several checkpoints tested at once, and the one to report chosen on the validation set."""

from __future__ import annotations

import json
import shutil

import pytest

from problems.asr import ASR
from problems.engine.cli.main import execute

OPTIONS = ("--train.keep_num_ckpts=4", "--train.eval_step=2", "--train.save_step=2", "--train.average=newest")


@pytest.fixture
def trained(tiny, tmp_path, capfd):
    assert execute(ASR(), ["run", *tiny, *OPTIONS, "--stop=2"]) == 0
    capfd.readouterr()
    return ["run", *tiny, *OPTIONS]


def test_checkpoints_by_step_rule_average_and_folder_are_tested_side_by_side(trained, tmp_path, capfd):
    elsewhere = shutil.copytree(tmp_path / "run" / "train" / "step_00000004", tmp_path / "é lse" / "own")
    options = [*trained, f"--evaluate.ckpts=[2, best, last, average, '{elsewhere}']"]
    assert execute(ASR(), options) == 0
    out, err = capfd.readouterr()
    assert "== stage 2" not in err, "nothing is trained"
    evaluate = tmp_path / "run" / "evaluate"
    names = {path.parent.parent.name for path in evaluate.glob("*/test/result.json")}
    choice = json.loads((evaluate / "checkpoints.json").read_text())
    assert set(choice["checkpoints"]) == names and {"step_00000002", "step_00000008", "average"} <= names
    (own,) = (name for name in names if name.startswith("own@"))
    valid = {name: content["valid"]["wer"] for name, content in choice["checkpoints"].items()}
    assert valid[choice["chosen"]] == min(valid.values())
    report = json.loads((tmp_path / "run" / "report" / "results.json").read_text())
    assert report["best"] == {"checkpoint": choice["chosen"], "rule": "wer min"}
    assert "* best on the validation set (wer)" in out and f"{own}" in out
    assert "<h2>Checkpoints</h2>" in (tmp_path / "run" / "report" / "report.html").read_text()
    assert execute(ASR(), ["status", f"--target_dir={tmp_path / 'run'}"]) == 0
    status = capfd.readouterr().out
    assert status.count("(valid WER") == len(names) and f"{choice['chosen']} * on test" in status
    # one more is tested alone; one fewer is chosen among the others; none is no choice
    assert execute(ASR(), [*trained, f"--evaluate.ckpts=[2, 6, '{elsewhere}']"]) == 0
    assert capfd.readouterr().err.count("done already") == 2
    assert set(json.loads((evaluate / "checkpoints.json").read_text())["checkpoints"]) == {
        "step_00000002",
        "step_00000006",
        own,
    }
    assert execute(ASR(), trained) == 0
    assert not (evaluate / "checkpoints.json").exists()


def test_checkpoints_that_were_tested_before_take_part_in_a_later_choice(trained, tmp_path, capfd):
    evaluate = tmp_path / "run" / "evaluate"
    assert execute(ASR(), [*trained, "--evaluate.ckpts=[2]"]) == 0
    assert not (evaluate / "checkpoints.json").exists(), "nothing is to be chosen"
    settings = "--evaluate.settings=[{name: greedy}, {name: beam, decode.name: beam, decode.beam: 2}]"
    for more in ([], [settings]):
        for ckpts in ("[2, 8]", "[2]", "[2, 8]"):
            capfd.readouterr()
            assert execute(ASR(), [*trained, f"--evaluate.ckpts={ckpts}", *more]) == 0
        assert "done already" in capfd.readouterr().err
        choice = json.loads((evaluate / "checkpoints.json").read_text())
        assert list(choice["checkpoints"]) == ["step_00000002", "step_00000008"]


def test_with_several_settings_a_checkpoint_counts_with_its_chosen_one(trained, tmp_path):
    settings = "[{name: greedy}, {name: beam, decode.name: beam, decode.beam: 2}]"
    assert execute(ASR(), [*trained, "--evaluate.ckpts=[2, 8]", f"--evaluate.settings={settings}"]) == 0
    evaluate = tmp_path / "run" / "evaluate"
    choice = json.loads((evaluate / "checkpoints.json").read_text())
    for name, own in choice["checkpoints"].items():
        settings = json.loads((evaluate / name / "settings.json").read_text())
        assert own == settings["settings"][settings["chosen"]]
    assert list(choice["checkpoints"]) == ["step_00000002", "step_00000008"]


def test_a_training_that_selects_another_checkpoint_does_not_change_the_choice(trained, tmp_path):
    assert execute(ASR(), [*trained, "--evaluate.ckpts=[2, 4]"]) == 0
    report = json.loads((tmp_path / "run" / "report" / "results.json").read_text())
    valid = {name: own["wer"] for name, own in report["chosen_of"]["valid"].items()}
    assert report["best"]["checkpoint"] == min(valid, key=valid.__getitem__)
    assert not [note for note in report["notes"] if "was not tested" in note]


@pytest.mark.parametrize(
    ("ckpts", "more", "message"),
    [
        ("[]", [], "evaluate.ckpts is empty: expected steps, best, last, average or folders"),
        ("[1.5]", [], "evaluate.ckpts has the entry 1.5"),
        ("[best]", ["--test_ckpt_steps=[2]"], "test_ckpt_steps and evaluate.ckpts each name checkpoints"),
        ("[3]", [], "the steps with a checkpoint are: 2, 4, 6, 8"),
        ("[bset]", [], "bset is not a checkpoint"),
    ],
)
def test_wrong_entries_are_refused_by_name(trained, capfd, ckpts, more, message):
    assert execute(ASR(), [*trained, "--start=3", f"--evaluate.ckpts={ckpts}", *more]) in (1, 2)
    err = capfd.readouterr().err
    assert message in err and "Traceback" not in err
