"""``predict --stream``: partial results while audio comes, and the result of ``predict`` in the end."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from problems.asr import ASR
from problems.engine.cli.main import execute
from tests.conftest import ROOT, tiny_options
from tests.parts.causal import trained


@pytest.fixture(scope="module")
def target(tones, tmp_path_factory):
    return trained(tones, tmp_path_factory.mktemp("causal model"))


@pytest.fixture(scope="module")
def wave(tones):
    """Several seconds of words at 16 kHz."""
    return np.concatenate([soundfile.read(path)[0] for path in sorted((tones / "test").glob("*.wav"))])


@pytest.fixture(scope="module")
def longest(tones):
    """The recording with the most words."""
    return max((tones / "test").glob("*.wav"), key=lambda path: path.stat().st_size)


@pytest.fixture
def predict(target, capfd):
    def call(*words, ckpt=target) -> tuple[int, str, str]:
        capfd.readouterr()
        code = execute(ASR(), ["predict", "--ckpt", str(ckpt), *map(str, words)])
        return code, *capfd.readouterr()

    return call


def piped(target, *words, **options) -> subprocess.Popen:
    """The command with a pipe on stdin."""
    command = [sys.executable, "-m", "problems.asr", "predict", "--ckpt", str(target), "--stream", *words, "-"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=ROOT, **pipes | options)


def raw(wave) -> bytes:
    return (wave * 32767).astype("<i2").tobytes()


def without_confidence(result: dict) -> dict:
    """A result without what differs by rounding."""
    words = [{**word, "confidence": round(word["confidence"], 2)} for word in result["words"]]
    return {**result, "words": words, "nbest": [text for text, _ in result["nbest"]]}


@pytest.mark.parametrize("more", [[], ["--task.decode.name", "beam"]], ids=["greedy", "beam"])
def test_the_final_lines_are_the_predictions(predict, tones, tmp_path, more):
    folder = shutil.copytree(tones / "test", tmp_path / "with a space ö")
    whole = [json.loads(line) for line in predict("--format", "jsonl", *more, folder)[1].splitlines()]
    code, out, err = predict("--stream", "--format", "jsonl", "--chunk_ms", "70", *more, folder)
    lines = [json.loads(line) for line in out.splitlines()]
    final = [own for own in lines if own.pop("final")]
    assert (code, err) == (0, "") and len(lines) > 2 * len(whole) == 14
    assert [without_confidence(own) for own in final] == [without_confidence(own) for own in whole]
    sources = [own["source"] for own in lines]
    assert sources == sorted(sources), "one recording after the other"


def test_text_is_marked_as_partial_or_final_and_no_line_is_repeated(predict, longest):
    path = longest
    code, out, _ = predict("--stream", path)
    rows = [line.split("\t") for line in out.splitlines()]
    assert code == 0 and [row[:2] for row in rows] == [[str(path), "partial"]] * (len(rows) - 1) + [
        [str(path), "final"]
    ]
    assert f"{path}\t{rows[-1][2]}\n" == predict(path)[1] and rows[-1][2]
    assert all(one != other for one, other in zip(rows, rows[1:]))


@pytest.mark.parametrize("words", [[], ["--raw", "16000"]], ids=["wav", "raw"])
def test_words_come_out_before_the_pipe_ends(target, wave, predict, tmp_path, words):
    path = tmp_path / "some.wav"
    soundfile.write(path, wave, 16000)
    content = raw(wave) if words else path.read_bytes()
    with piped(target, "--format", "jsonl", *words) as process:
        process.stdin.write(content[: len(content) * 2 // 3])
        process.stdin.flush()
        first = json.loads(process.stdout.readline())
        assert not first["final"] and first["text"] and first["source"] == "-"
        process.stdin.write(content[len(content) * 2 // 3 :])
        process.stdin.close()
        *partial, final = [json.loads(line) for line in process.stdout]
        assert process.wait() == 0 and process.stderr.read() == b""
    assert final["final"] and not any(own["final"] for own in partial)
    whole = json.loads(predict("--format", "jsonl", path)[1])
    assert final["text"] == whole["text"] and final["seconds"] == pytest.approx(whole["seconds"], abs=0.001)


def test_what_is_no_audio_on_stdin_is_refused(target):
    with piped(target) as process:
        out, err = process.communicate(b"no audio at all")
    assert process.returncode == 1 and out == b"" and err.startswith(b"error: -: not audio") and err.count(b"\n") == 1


def test_a_signal_ends_it_while_it_waits_for_audio(target, wave):
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        with piped(target, "--raw", "16000") as process:
            process.stdin.write(raw(wave))
            process.stdin.flush()
            assert process.stdout.readline()  # it listens; the pipe stays open
            process.send_signal(number)
            assert process.wait(timeout=20) == code
            assert b"Traceback" not in process.stderr.read()


def test_a_reader_that_leaves_ends_it_quietly(target, wave):
    with piped(target, "--raw", "16000") as process:
        process.stdin.write(raw(wave))
        process.stdin.flush()
        process.stdout.readline()
        process.stdout.close()
        try:
            process.stdin.write(raw(wave) * 20)
            process.stdin.close()
        except BrokenPipeError:
            pass
        assert process.wait(timeout=60) == 141 and process.stderr.read() == b""


def test_on_a_terminal_partial_results_take_one_line(target, wave, tmp_path):
    path, (leader, follower) = tmp_path / "some.wav", pty.openpty()
    soundfile.write(path, wave, 16000)
    command = [sys.executable, "-m", "problems.asr", "predict", "--ckpt", str(target), "--stream", str(path)]
    subprocess.run(command, cwd=ROOT, stdout=follower, check=True, stdin=subprocess.DEVNULL)
    os.close(follower)
    shown = os.read(leader, 100_000).decode()
    os.close(leader)
    assert shown.count("\n") == 1 and shown.count("\r\x1b[K") > 2, "each erases the one before"
    assert shown.rpartition("\x1b[K")[2].startswith(f"{path}\t")


def test_one_bad_file_costs_the_exit_code_and_the_others_go_on(predict, tones, tmp_path):
    (tmp_path / "bad.wav").write_bytes(b"")
    good = tones / "test" / "u000.wav"
    code, out, err = predict("--stream", good, tmp_path / "bad.wav", tmp_path / "none.wav", good)
    assert code == 1 and out.count("\tfinal\t") == 2
    assert err.count("error: ") == 2 and "bad.wav: the file is empty" in err and "none.wav: no such file" in err


def test_parts_of_a_file_have_its_times(predict, longest, tmp_path):
    (tmp_path / "parts.csv").write_text(f"wav_path,start_sec,end_sec\n{longest},0.19,\n")
    whole = json.loads(predict("--format", "jsonl", tmp_path / "parts.csv")[1])
    last = json.loads(predict("--stream", "--format", "jsonl", tmp_path / "parts.csv")[1].splitlines()[-1])
    assert last.pop("final") and without_confidence(last) == without_confidence(whole) and last["words"]


@pytest.mark.parametrize(
    "words, reason",
    [
        (["--stream", "--format", "srt", "x.wav"], "partial results are text or jsonl"),
        (["--stream", "--out", "x", "x.wav"], "--out is for whole recordings"),
        (["--stream", "--align", "transcription", "x.csv"], "--align is for whole recordings"),
        (["--stream", "--chunk_ms", "0", "x.wav"], "--chunk_ms is '0': expected a number from 1"),
        (["--stream", "--raw", "16000", "x.wav"], "name stdin (-)"),
        (["--stream", "--raw", "16", "-"], "--raw is '16'"),
        (["--stream", "-", "-"], "name it once"),
        (["--chunk_ms", "10", "x.wav"], "add --stream"),
        (["--raw", "16000", "-"], "add --stream"),
        (["--stream"], "needs an audio file"),
    ],
)
def test_a_wrong_command_is_refused(predict, words, reason):
    code, out, err = predict(*words)
    assert (code, out) == (2, "") and reason in err


def test_a_model_that_needs_the_whole_recording_is_refused_before_any_audio_is_read(predict, tones, tmp_path):
    assert execute(ASR(), ["run", *tiny_options(tones, tmp_path), "--stop=2"]) == 0
    code, out, err = predict("--stream", "none.wav", ckpt=tmp_path / "run")
    assert (code, out) == (2, "") and "bidirectional is true" in err and "none.wav" not in err
