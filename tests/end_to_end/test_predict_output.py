"""``predict`` in every format, to a folder that a later call continues, and as a tool among others."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from problems.asr import ASR
from problems.engine.cli.main import execute
from problems.engine.inference.formats import FORMATS
from tests.conftest import ROOT, tiny_options


@pytest.fixture(scope="module")
def run(tones, tmp_path_factory):
    target = tmp_path_factory.mktemp("predict output")
    assert execute(ASR(), ["run", *tiny_options(tones, target), "--stop=2"]) == 0
    return target / "run"


@pytest.fixture
def predict(run, capfd):
    def call(*words, ckpt=run) -> tuple[int, str, str]:
        capfd.readouterr()
        code = execute(ASR(), ["predict", "--ckpt", str(ckpt), *map(str, words)])
        return code, *capfd.readouterr()

    return call


@pytest.fixture
def files(tones, tmp_path):
    folder = tmp_path / "in a folder ö"
    for number, path in enumerate(sorted(tones.rglob("*.wav"))[:6]):
        (folder / str(number % 2)).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / str(number % 2) / f"{number}.wav")
    return folder


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_writes_a_file_for_each_recording(predict, files, tmp_path, form):
    out = tmp_path / "out"
    code, stdout, stderr = predict("--format", form, "--out", out, files)
    assert (code, stdout, stderr) == (0, "", "")
    written = {str(path.relative_to(out).with_suffix("")) for path in out.rglob(f"*{FORMATS[form].suffix}")}
    assert {f"{n % 2}/{n}" for n in range(6)} <= written


def test_the_folder_holds_what_the_stream_does(predict, files, tmp_path):
    lines = [json.loads(line) for line in predict("--format", "jsonl", files)[1].splitlines()]
    predict("--format", "json", "--out", tmp_path / "out", files)
    read = {own["source"]: own for path in (tmp_path / "out").glob("*/*.json") if (own := json.loads(path.read_text()))}
    assert read == {own["source"]: own for own in lines} and len(read) == 6


def test_a_call_that_was_killed_is_continued_by_the_same_one(run, files, tmp_path):
    out = tmp_path / "out"
    for number in range(300):
        shutil.copy(files / "0" / "0.wav", files / "0" / f"copy{number}.wav")
    words = ["--ckpt", str(run), "--format", "ctm", "--out", str(out), str(files)]
    command = [sys.executable, "-m", "problems.asr", "predict", *words]
    process = subprocess.Popen(command, cwd=ROOT)
    while len(list(out.rglob("*.ctm"))) < 20:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.ctm")}
    assert 20 <= len(times) < 306
    subprocess.run(command, cwd=ROOT, check=True)
    assert len(list(out.rglob("*.ctm"))) == 306
    assert {path: path.stat().st_mtime_ns for path in times} == times, "none was computed again"
    contents = {path.read_text().replace(path.stem, "X") for path in (out / "0").glob("copy*.ctm")}
    assert len(contents) == 1
    assert not list(out.rglob("*.tmp"))


@pytest.mark.parametrize("words, key", [(["--task.decode.name", "beam"], "task"), (["--format", "ctm"], "format")])
def test_a_folder_of_other_predictions_is_refused(predict, files, tmp_path, words, key):
    out = tmp_path / "out"
    assert predict("--format", "json", "--out", out, files)[0] == 0
    format = [] if "--format" in words else ["--format", "json"]
    code, _, err = predict(*format, *words, "--out", out, files)
    assert code == 2 and f"holds predictions of {key}" in err


def test_a_folder_of_other_things_is_refused(predict, files):
    code, _, err = predict("--out", files, files)
    assert code == 2 and "holds no predictions" in err and not (files / ".predict.json").exists()


def test_settings_of_the_decoder_are_options(predict, files):
    code, out, _ = predict("--format", "jsonl", "--task.decode", "{name: beam, nbest: 3}", files / "0" / "0.wav")
    assert code == 0 and len(json.loads(out)["nbest"]) == 3
    code, _, err = predict("--task.decode.nbset", "3", files / "0" / "0.wav")
    assert code == 2 and "did you mean 'build_task.decode.nbest'" in err
    code, _, err = predict("--task.log_predictions", "3", files / "0" / "0.wav")
    assert code == 2 and "is part of the training" in err


def test_audio_comes_from_stdin_and_results_go_to_a_pipe(run, files, tmp_path):
    command = f"cat '{files}/0/0.wav' | '{sys.executable}' -m problems.asr predict --ckpt '{run}' - | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.startswith("-\t") and done.stderr == ""


def test_one_bad_file_of_many_is_named_and_costs_the_exit_code(predict, files, tmp_path):
    (files / "0" / "bad.wav").write_bytes(b"RIFF")
    out = tmp_path / "out"
    code, _, err = predict("--format", "srt", "--out", out, files)
    assert code == 1 and re.fullmatch(r"error: .*bad\.wav: .*\n", err)
    assert len(list(out.rglob("*.srt"))) == 6
    assert predict("--format", "srt", "--out", out, files)[0] == 1, "it is tried again"


@pytest.mark.parametrize(
    "words, reason",
    [
        (["--format", "srtt", "x.wav"], "did you mean 'srt'"),
        (["--format", "srt"], "needs an audio file"),
        (["--batch_seconds", "much", "x.wav"], "expected a number from 0"),
        (["--enroll", "x.wav", "x.wav"], "did you mean 'enrol'"),
        (["--enrol", "x.wav", "x.wav"], "--enrol: there is no file x.wav"),
        (["--enrol", __file__, "x.wav"], "does not compare recordings"),
    ],
)
def test_a_wrong_command_is_refused(predict, words, reason):
    code, out, err = predict(*words)
    assert (code, out) == (2, "") and reason in err


def test_names_that_differ_only_in_their_suffix_have_files_of_their_own(predict, files, tmp_path):
    shutil.copy(files / "0" / "0.wav", files / "0" / "0.flac.wav")
    os.rename(files / "0" / "0.flac.wav", files / "0" / "0.au")
    assert predict("--out", tmp_path / "out", files / "0" / "0.wav", files / "0" / "0.au")[0] == 0
    assert sorted(path.name for path in (tmp_path / "out").glob("*.txt")) == ["0.au.txt", "0.txt"]


def test_another_recording_of_the_same_name_is_computed_too(predict, tones, tmp_path):
    paths = sorted(tones.rglob("*.wav"))[:3]
    for number, path in enumerate(paths):
        (tmp_path / f"d{number}").mkdir()
        shutil.copy(path, tmp_path / f"d{number}" / "x.wav")
        assert predict("--format", "json", "--out", tmp_path / "out", tmp_path / f"d{number}" / "x.wav")[0] == 0
    sources = {json.loads(path.read_text())["source"] for path in (tmp_path / "out").glob("x*.json")}
    assert sources == {str(tmp_path / f"d{number}" / "x.wav") for number in range(3)}


def test_a_recording_may_be_called_as_our_own_file(predict, tones, tmp_path):
    shutil.copy(next(tones.rglob("*.wav")), tmp_path / "predict.wav")
    assert predict("--format", "json", "--out", tmp_path / "out", tmp_path / "predict.wav")[0] == 0
    assert "text" in json.loads((tmp_path / "out" / "predict.json").read_text())


def test_recordings_that_a_format_cannot_tell_apart_are_refused(predict, files):
    shutil.copy(files / "0" / "0.wav", files / "1" / "0.wav")
    code, _, err = predict("--format", "ctm", files)
    assert code == 2 and "alike: add --out DIR" in err


def test_an_impossible_rate_costs_one_file_only(predict, files):
    content = bytearray((files / "0" / "0.wav").read_bytes())
    content[24:28] = (2_000_000_000).to_bytes(4, "little")
    (files / "0" / "odd.wav").write_bytes(content)
    code, out, err = predict(files)
    assert code == 1 and len(out.splitlines()) == 6 and "odd.wav: its header says 2000000000 Hz" in err


def test_a_call_that_was_refused_claims_no_folder(predict, run, files, tmp_path, capfd):
    assert predict("--format", "rttm", "--task.decode.nbset", "2", "--out", tmp_path / "out", files)[0] == 2
    assert predict("--format", "text", "--out", tmp_path / "out", files)[0] == 0


def test_parts_have_files_of_their_own(predict, tones, tmp_path):
    path = next(tones.rglob("*.wav"))
    (tmp_path / "parts.csv").write_text(f"wav_path,start_sec,end_sec\n{path},0,0.1\n{path},0.1,0.15\n")
    assert predict("--out", tmp_path / "out", tmp_path / "parts.csv")[0] == 0
    assert {own.name for own in (tmp_path / "out").glob("*.txt")} == {
        f"{path.stem}[{p}].txt" for p in ("0-0.1", "0.1-0.15")
    }


def test_the_help_of_predict_is_about_predict(capfd):
    assert execute(ASR(), ["predict", "--help"]) == 0
    out = capfd.readouterr().out
    assert "--format" in out and "--task.KEY" in out and "train.total_steps" not in out and len(out.splitlines()) < 12
