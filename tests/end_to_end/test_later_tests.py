"""A trained model is tested in one line on a set that its training did not have."""

from __future__ import annotations

import csv
import json
import logging
import shutil

import pytest

from problems.asr import ASR
from problems.asv import ASV
from problems.engine.cli.main import execute
from tests.conftest import tiny_options, write_table, write_tones
from tests.problems.test_asv import command


@pytest.fixture(scope="module")
def trained(tones, tmp_path_factory):
    """The folder of a trained recogniser, in ``run``."""
    folder = tmp_path_factory.mktemp("trained")
    assert execute(ASR(), ["run", *tiny_options(tones, folder), "--evaluate.baselines=true"]) == 0
    logging.getLogger().handlers.clear()
    return folder


@pytest.fixture
def late(tmp_path):
    """A CSV with a name of two words, whose ids are those of the training, and paths relative to it."""
    folder = tmp_path / "späte daten"
    rows = write_tones(folder / "train", 6, seed=9)
    rows = [row | {"wav_path": row["wav_path"].removeprefix(f"{folder}/"), "who": row["id"][-1]} for row in rows]
    return write_table(folder / "new set.csv", rows)


def contents(folder, but="tests"):
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and but not in path.relative_to(folder).parts)
    return {path: path.read_bytes() for path in files}


def result(folder, test_set="new_set"):
    (path,) = folder.glob(f"evaluate/*/{test_set}/result.json")
    return json.loads(path.read_text())


def test_one_line_tests_a_new_set_below_the_training_and_leaves_that_alone(trained, late, capfd):
    before = contents(trained / "run")
    words = ["test", "--ckpt", str(trained / "run"), "--data", str(late), "--evaluate.groups=[who]"]
    assert execute(ASR(), words) == 0
    assert contents(trained / "run") == before
    out, err = capfd.readouterr()
    assert "new_set" in out and "== stage 2" not in err and "most frequent word" in out
    own = result(trained / "run" / "tests" / "new_set")
    assert own["utterances"] == 6 and own["intervals"]["wer"] and own["groups"]["who"]
    folder = trained / "run" / "tests" / "new_set"
    assert {row["id"] for row in csv.DictReader(open(next(folder.rglob("predictions.csv"))))} == {
        f"train-{number:03}" for number in range(6)
    }
    assert (folder / "report" / "report.html").is_file()
    assert execute(ASR(), words) == 0 and "every stage is done and fresh" in capfd.readouterr().err
    assert execute(ASR(), ["status", f"--target_dir={folder}"]) == 0
    status = capfd.readouterr().out
    assert "on new_set: WER" in status and "stale" not in status
    shutil.rmtree(trained / "run" / "tests")


def test_the_result_is_that_of_a_set_that_was_there_from_the_beginning(trained, tones, tmp_path):
    copy = shutil.copy(tones / "test.csv", tones / "again.csv")
    assert execute(ASR(), ["test", "--ckpt", str(trained / "run"), str(copy), f"--out={tmp_path / 'out'}"]) == 0
    first, second = result(trained / "run", "test"), result(tmp_path / "out", "again")
    assert second["metrics"] == first["metrics"] and second["intervals"] == first["intervals"]


def test_settings_of_the_test_are_free_and_the_others_are_refused(trained, late, tmp_path, capfd):
    words = ["test", "--ckpt", str(trained / "run"), "--data", str(late), f"--out={tmp_path / 'out'}"]
    settings = "[{name: greedy}, {name: beam, decode.name: beam, decode.lm: train}]"
    assert execute(ASR(), [*words, "--task.decode.beam=4", f"--evaluate.settings={settings}"]) == 0
    (choice,) = (tmp_path / "out").rglob("settings.json")
    assert list(json.loads(choice.read_text())["settings"]) == ["greedy", "beam"], "the training's data are read"
    capfd.readouterr()
    assert execute(ASR(), [*words, "--task.log_predictionz=1"]) == 2
    assert "build_task has no such key" in capfd.readouterr().err
    assert execute(ASR(), [*words, "--train.total_steps=9"]) == 2
    assert "unknown option '--train.total_steps=9'" in capfd.readouterr().err


def test_an_exported_model_is_tested_where_there_is_no_training(trained, late, tmp_path, capfd):
    exported = tmp_path / "exported model"
    assert execute(ASR(), ["export", "--ckpt", str(trained / "run"), str(exported)]) == 0
    assert str(trained) not in (exported / "config.yaml").read_text()
    words = ["test", "--ckpt", str(exported), "--data", str(late), "--num_workers=0", f"--cache_dir={tmp_path / 'c'}"]
    assert execute(ASR(), words) == 2
    assert "--out DIR says where to" in capfd.readouterr().err
    assert execute(ASR(), [*words, f"--out={tmp_path / 'a'}"]) == 0
    assert execute(ASR(), ["test", "--ckpt", str(trained / "run"), str(late), f"--out={tmp_path / 'b'}"]) == 0
    assert result(tmp_path / "a")["metrics"] == result(tmp_path / "b")["metrics"]


def test_several_checkpoints_and_sets_and_other_names_of_columns(trained, late, tones, tmp_path, capfd):
    renamed = tmp_path / "renamed.csv"
    renamed.write_text((tones / "test.csv").read_text().replace("transcription", "words", 1))
    steps = [f"--ckpt={trained / 'run' / 'train' / name}" for name in ("step_00000004", "step_00000008")]
    words = ["test", *steps, "--data", str(renamed), f"--out={tmp_path / 'out'}"]
    assert execute(ASR(), words) == 1
    assert "set test_data.columns.transcription to one" in capfd.readouterr().err
    assert execute(ASR(), [*words, "--test_data.columns={transcription: words}"]) == 0
    assert len(list((tmp_path / "out" / "evaluate").glob("*/renamed/result.json"))) == 2
    chosen = json.loads((tmp_path / "out" / "report" / "results.json").read_text())["best"]
    assert chosen["checkpoint"] in {path.name for path in (tmp_path / "out" / "evaluate").iterdir()}
    assert execute(ASR(), ["test", *steps, str(late), f"--out={tmp_path / 'out'}"]) == 2
    assert "holds a run with test data" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("rows", "more", "message"),
    [
        ("id,wav_path,transcription\n", [], "has no rows below its header"),
        ("", [], "expected a first line of column names"),
        ("id,wav_path,transcription\na,none.wav,ba\n", [], "none.wav"),
        (
            "id,wav_path,transcription\na,none.wav,ba\n",
            ["--test_data.colums={}"],
            "(did you mean 'columns'?): csv has",
        ),
        ("id,wav_path,transcription\na,none.wav,ba\n", ["--test_data.corpus=librispeech"], "librispeech has"),
        (None, [], "there is no CSV file"),
    ],
)
def test_wrong_data_are_a_message_of_the_file(trained, tmp_path, capfd, rows, more, message):
    if rows is not None:
        (tmp_path / "bad.csv").write_text(rows)
    words = ["test", "--ckpt", str(trained / "run"), "--data", str(tmp_path / "bad.csv"), f"--out={tmp_path / 'o'}"]
    assert execute(ASR(), [*words, *more]) in (1, 2)
    err = capfd.readouterr().err
    assert message in err and "Traceback" not in err and "prepare_data" not in err


def test_a_set_of_one_utterance_is_tested(trained, late, tmp_path):
    lines = late.read_text().splitlines()
    late.write_text("\n".join(lines[:2]) + "\n")
    assert execute(ASR(), ["test", "--ckpt", str(trained / "run"), str(late), f"--out={tmp_path / 'out'}"]) == 0
    assert result(tmp_path / "out")["utterances"] == 1


def test_shards_are_tested_as_the_files_they_were_made_of(trained, tones, tmp_path):
    packed = tmp_path / "packed"
    options = tiny_options(tones, trained)
    assert execute(ASR(), ["pack", *options, "--out", str(packed)]) == 0
    words = ["test", "--ckpt", str(trained / "run"), f"--out={tmp_path / 'out'}"]
    assert execute(ASR(), [*words, "--test_data.corpus=packed", f"--test_data.dataset_root={packed}"]) == 0
    assert result(tmp_path / "out", "test")["metrics"] == result(trained / "run", "test")["metrics"]


def test_a_verifier_is_tested_on_utterances_and_a_list_of_trials(tmp_path, capfd):
    assert execute(ASV(), command(tmp_path)) == 0
    with open(next((tmp_path / "run" / "data").glob("pairs.csv"))) as file:
        trials = list(csv.DictReader(file))
    sides = {(t[f"id{side}"], t[f"wav_path{side}"]) for t in trials for side in (1, 2)}
    data = write_table(tmp_path / "late.csv", [{"id": id, "wav_path": path} for id, path in sorted(sides)])
    pairs = write_table(tmp_path / "pairs.csv", [{key: t[key] for key in ("id1", "id2", "label")} for t in trials])
    words = ["test", "--ckpt", str(tmp_path / "run"), "--data", str(data)]
    capfd.readouterr()
    assert execute(ASV(), words) == 1 and "no column 'spk'" in capfd.readouterr().err
    shutil.rmtree(tmp_path / "run" / "tests")
    scored = ["--trials", str(pairs), "--task.scoring.enrolment=score"]
    assert execute(ASV(), [*words, *scored]) == 0
    assert result(tmp_path / "run" / "tests" / "late", "late")["metrics"] == pytest.approx(
        result(tmp_path / "run", "pairs")["metrics"]
    )
    pairs.write_text(pairs.read_text().replace(trials[0]["id1"], "nobody"))
    assert execute(ASV(), [*words, *scored, f"--out={tmp_path / 'o'}"]) == 1
    assert "pairs.csv, line 2: no utterance has the id 'nobody'" in capfd.readouterr().err
