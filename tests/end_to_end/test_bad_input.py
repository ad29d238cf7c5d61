"""Bad input on the command line: an exit code, and one message that names the file, row or key and what to do."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from problems.asr import ASR
from problems.engine.cli.main import execute
from tests.conftest import ROOT, write_table, write_tones


class Case:
    """CSVs of a test's own, to be spoilt, and the command line on them."""

    def __init__(self, options: list[str], folder: Path, capsys: pytest.CaptureFixture):
        self.options, self.folder, self.capsys = options, folder, capsys

    def rows(self, name: str = "train") -> list[dict[str, str]]:
        with open(self.folder / f"{name}.csv", newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def write(self, rows: list[dict[str, str]], name: str = "train") -> None:
        write_table(self.folder / f"{name}.csv", rows)

    def run(self, *words: str, code: int) -> str:
        self.capsys.readouterr()
        got = execute(ASR(), ["run", *self.options, *words])
        captured = self.capsys.readouterr()
        said = captured.out + captured.err
        assert got == code and "Traceback" not in said, said
        return said


@pytest.fixture
def case(tiny, tones, tmp_path, capsys) -> Case:
    folder = tmp_path / "in"
    folder.mkdir()
    for seed, (name, count) in enumerate((("train", 6), ("valid", 2), ("test", 3))):
        write_table(folder / f"{name}.csv", write_tones(folder / name, count, seed))
    options = [word.replace(f"{tones}/", f"{folder}/") for word in tiny]
    return Case([*options, "train.total_steps=2"], folder, capsys)


def noise(path: Path, seconds: float) -> None:
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(round(seconds * 16000)), 16000)


def corrupt(path: Path) -> None:
    path.write_bytes(b"this is no audio " * 100)


def cut_in_half(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def ten_samples(path: Path) -> None:
    noise(path, 10 / 16000)


BAD_AUDIO = {
    "corrupt": (corrupt, "copy"),
    "no bytes": (lambda path: path.write_bytes(b""), "empty"),
    "no samples": (lambda path: noise(path, 0), "sample"),
    "cut in half": (cut_in_half, "header promises"),
    "missing": (Path.unlink, "no such file"),
    "ten samples": (ten_samples, "10 samples"),
}


@pytest.mark.parametrize("kind", BAD_AUDIO)
def test_bad_audio(case, kind):
    spoil, said = BAD_AUDIO[kind]
    bad = case.rows()[2]
    spoil(Path(bad["wav_path"]))
    text = case.run(code=1)
    assert bad["wav_path"] in text and f"train {bad['id']}" in text and said in text.lower()
    assert "--prepare_data.skip_bad true" in text and not (case.folder.parent / "run/train").exists()


@pytest.mark.parametrize("kind", BAD_AUDIO)
def test_skip_bad_leaves_it_out_loudly(case, kind):
    bad = case.rows()[2]
    BAD_AUDIO[kind][0](Path(bad["wav_path"]))
    text = case.run("prepare_data.skip_bad=true", "--stop=0", code=0)
    assert "1 UTTERANCE LEFT OUT" in text and bad["wav_path"] in text
    table = (case.folder.parent / "run/data/train.csv").read_text()
    assert bad["wav_path"] not in table and table.count("\n") == 1 + 5


def test_several_bad_files_are_told_together(case):
    for row in case.rows()[:3]:
        Path(row["wav_path"]).unlink()
    text = case.run(code=1)
    assert "3 utterances cannot be used" in text and all(row["wav_path"] in text for row in case.rows()[:3])


def test_audio_that_goes_bad_after_stage_0(case):
    case.run("--stop=1", code=0)
    bad = case.rows()[2]
    cut_in_half(Path(bad["wav_path"]))
    text = case.run(code=1)
    assert bad["wav_path"] in text and bad["id"] in text


def test_a_csv_without_a_column(case):
    case.write([{k: v for k, v in row.items() if k != "transcription"} | {"text": "x"} for row in case.rows()])
    text = case.run(code=1)
    assert "'transcription'" in text and "text" in text and "train" in text


def test_a_csv_without_paths(case):
    case.write([{"id": row["id"], "path": row["wav_path"], "transcription": "ba"} for row in case.rows()])
    text = case.run(code=1)
    assert "train.csv has no column 'wav_path'" in text and "columns.wav_path" in text


def test_a_csv_that_is_not_there(case):
    (case.folder / "test.csv").unlink()
    assert f"there is no CSV file {case.folder / 'test.csv'}" in case.run(code=1)


def test_a_duplicate_id(case):
    rows = case.rows()
    rows[3]["id"] = rows[1]["id"]
    case.write(rows)
    text = case.run(code=1)
    assert f"train.csv, line 5: line 3 has the same id {rows[1]['id']!r}" in text


def test_a_ragged_row(case):
    with open(case.folder / "train.csv", "a") as file:
        file.write("a,b,c,d,e\n")
    text = case.run(code=1)
    assert "train.csv, line 8: expected 3 cells, got 5" in text


def test_the_words_null_and_na_are_transcripts_to_the_end(case):
    for name in ("train", "test"):
        rows = case.rows(name)
        rows[0]["transcription"], rows[1]["transcription"], rows[1]["id"] = "null", "NA", f"00{len(rows)}"
        case.write(rows, name)
    case.run(code=0)
    (found,) = (case.folder.parent / "run/evaluate").glob("*/test/predictions.csv")
    with open(found, newline="", encoding="utf-8") as file:
        kept = {row["id"]: row["reference"] for row in csv.DictReader(file)}
    assert kept == {row["id"]: row["transcription"] for row in case.rows("test")}
    assert kept["003"] == "NA" and "null" in kept.values()


def test_an_unknown_character_in_the_test_set_is_told_and_the_run_goes_on(case):
    rows = case.rows("test")
    rows[1]["transcription"] = "ba ß"
    case.write(rows, "test")
    text = case.run(code=0)
    assert "test.csv" in text and "'ß'" in text and rows[1]["id"] in text
    (found,) = (case.folder.parent / "run/evaluate").glob("*/test/predictions.csv")
    assert "ba ß" in found.read_text("utf-8")


def test_a_typo_in_a_key_and_a_wrong_type(case):
    text = case.run("--train.totl_steps=3", "--train.log_step=often", code=2)
    assert (
        "did you mean 'train.total_steps'?" in text and "train.log_step: expected a whole number, got 'often'" in text
    )
    assert not (case.folder.parent / "run").exists()


def test_a_wrong_optimizer_setting(case):
    text = case.run("build_optimizer.conf.lrr=1", code=2)
    assert "build_optimizer.conf.lrr" in text and "did you mean 'lr'?" in text
    text = case.run("build_optimizer.name=Adm", code=2)
    assert "did you mean 'Adam'?" in text and not (case.folder.parent / "run/data").exists()


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--build_dataset.augment=[{name: noise, conf: {source: /nowhere}}]", "/nowhere does not exist"),
        ("--build_dataset.augment=[{name: noice}]", "build_dataset.augment[0].name"),
        ("--build_dataset.speeds=[9]", "each between 0.5 and 2"),
        ("--build_task.decode={name: beam, lm: /nowhere.arpa}", "there is no file /nowhere.arpa"),
    ],
)
def test_what_only_a_later_stage_reads_is_refused_before_the_first(case, option, words):
    said = case.run(option, code=2)
    assert words in said and "== stage" not in said


def test_a_device_that_is_not_there(case):
    text = case.run("device=cuda:99", code=2)
    assert "cuda:99" in text


def test_a_metric_that_is_not_there(case):
    text = case.run("train.valid_metric=wre", code=2)
    assert "validation has no metric 'wre' (did you mean 'wer'?)" in text and "step_" not in text


def test_a_target_that_is_a_file(case):
    (case.folder / "file").write_text("")
    text = case.run(f"--target_dir={case.folder / 'file' / 'run'}", code=2)
    assert "target_dir: cannot write" in text and str(case.folder / "file") in text and "--target_dir DIR" in text


NOBODY = 65534


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become a user without rights")
def test_a_target_folder_without_write_permission(case, tmp_path_factory):
    closed = tmp_path_factory.mktemp("closed")
    closed.chmod(0o755)
    code = (
        "import os, sys, problems.engine.stages.pipeline, problems.engine.runtime.stop_signals\n"
        "from problems.asr import ASR; from problems.engine.cli.main import execute; execute(ASR(), ['config'])\n"
        f"os.setgid({NOBODY}); os.setuid({NOBODY}); sys.exit(execute(ASR(), sys.argv[1:]))"
    )
    words = ["run", *case.options, f"--target_dir={closed}/run"]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert f"cannot write in {closed}/run: Permission denied" in done.stderr and "--target_dir DIR" in done.stderr


def renamed(case: Case, to: str) -> Callable[[str], str]:
    """Move the input into a folder called ``to``, and give new paths for old."""
    moved = case.folder.parent / to
    case.folder.rename(moved)
    old, case.folder = f"{case.folder}/", moved
    for name in ("train", "valid", "test"):
        rows = case.rows(name)
        for number, row in enumerate(rows):
            was = Path(row["wav_path"].replace(old, f"{moved}/"))
            new = was.with_name(f"Ä ö {number} 語.wav")
            was.rename(new)
            row["wav_path"], row["id"] = str(new), f"größe {number} {name}"
        case.write(rows, name)
    return lambda word: word.replace(old, f"{moved}/")


def test_names_with_spaces_and_letters_beyond_ascii(case):
    moved = renamed(case, "mein Körpus, 数据 #1")
    case.options = [moved(w) for w in case.options]
    target = case.folder.parent / "Ergebnis für mich #2"
    case.run(f"--target_dir={target}", code=0)
    assert (target / "report/report.html").exists() and (target / "run.log").exists()
    (found,) = (target / "evaluate").glob("*/test/predictions.csv")
    assert "größe 1 test" in found.read_text("utf-8")
    text = case.run(f"--target_dir={target}", code=0)
    assert "every stage is done" in text
    assert execute(ASR(), ["predict", f"--ckpt={target}", case.rows("test")[0]["wav_path"]]) == 0
    assert case.capsys.readouterr().out.startswith(case.rows("test")[0]["wav_path"] + "\t")


def test_one_training_utterance(case):
    case.write(case.rows()[:1])
    case.run(code=0)
    assert (case.folder.parent / "run/report/report.html").exists()


def test_one_utterance_to_hold_out_of(case):
    case.write(case.rows()[:1])
    case.options = [w for w in case.options if not w.startswith("--prepare_data.valid=")]
    text = case.run(code=1)
    assert "train.csv has too few utterances to hold out a valid set: 1 remain" in text


def test_a_csv_of_no_rows(case):
    (case.folder / "train.csv").write_text("id,wav_path,transcription\n")
    assert "train.csv has no rows below its header" in case.run(code=1)


@pytest.mark.parametrize("most", [50, 20])
def test_one_long_utterance_among_short_ones(case, most):
    noise(Path(case.rows()[2]["wav_path"]), 40)
    case.run(f"build_batch_sampler.train.max_seconds={most}", code=0)


def test_a_transcript_longer_than_its_audio_can_be(case):
    rows = case.rows()
    rows[2]["transcription"] = "ba de go ku " * 100
    case.write(rows)
    case.run(code=0)


def test_empty_transcripts(case):
    rows = case.rows()
    rows[2]["transcription"] = ""
    case.write(rows)
    case.run(code=0)
