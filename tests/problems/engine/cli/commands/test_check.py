"""``check``: the audio of a corpus is read, what is wrong is printed and written, and errors give exit code 1."""

from __future__ import annotations

import csv
import json
import shutil

from problems.asr import ASR
from problems.engine.cli.main import execute
from tests.conftest import write_table


def test_a_good_corpus_gives_0_and_a_page(tiny, tmp_path, capfd):
    assert execute(ASR(), ["check", *tiny]) == 0
    out = capfd.readouterr().out
    assert out.startswith("train ") and "ERROR" not in out
    page = (tmp_path / "run" / "check" / "check.html").read_text()
    assert "Lengths of train" in page and page.count("<script") == 1 and "src=" not in page
    assert json.loads((tmp_path / "run" / "check" / "check.json").read_text())["sets"]["train"]["utterances"] == 22
    assert not (tmp_path / "run" / "data").exists(), "no stage has run"


def test_errors_are_named_and_give_1(tiny, tones, tmp_path, capfd):
    with open(tones / "train.csv", newline="", encoding="utf-8") as file:
        rows = [dict(row) for row in csv.DictReader(file)]
    broken = tmp_path / "broken <b>.wav"
    broken.write_bytes(b"no audio")
    rows[0]["wav_path"] = str(broken)
    copy = tmp_path / "copy.wav"
    with open(tones / "test.csv", newline="", encoding="utf-8") as file:
        shutil.copy(next(csv.DictReader(file))["wav_path"], copy)
    rows[1]["wav_path"] = str(copy)
    table = write_table(tmp_path / "train.csv", rows)
    assert execute(ASR(), ["check", *tiny, f"--prepare_data.train={table}"]) == 1
    out = capfd.readouterr().out
    assert "ERROR: unusable audio: 1" in out and "broken <b>.wav" in out and "ERROR: same audio in two splits: 1" in out
    assert "broken &lt;b&gt;.wav" in (tmp_path / "run" / "check" / "check.html").read_text()


def test_a_problem_that_prepares_its_data_itself_is_checked_too(tiny, tones, capfd):
    class Own(ASR):
        def prepare_data(self, prepare_data, target_dir, cache_dir, get_path_only=False):
            return str(tones / "train.csv"), str(tones / "valid.csv"), [str(tones / "test.csv")]

    sets = ("--prepare_data.train", "--prepare_data.valid", "--prepare_data.test")
    options = [option for option in tiny if not option.startswith(sets)]
    assert execute(Own(), ["check", *options, "--prepare_data.train=none.csv"]) == 0
    assert [line.split()[:2] for line in capfd.readouterr().out.splitlines()[:3]] == [
        ["train", "22"],
        ["valid", "5"],
        ["test", "7"],
    ]


def test_a_mistake_is_a_message(tiny, capfd):
    assert execute(ASR(), ["check", *tiny, "--prepare_data.train=none.csv"]) == 1
    assert "none.csv" in capfd.readouterr().err
