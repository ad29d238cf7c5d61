"""Recordings are synthesised once and verified; kills, crashes and damage leave nothing partial."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dataset.corpora import CorpusError
from dataset.espeak import ToySentence, apart, cache, synthesise
from tests.conftest import ROOT
from tests.parts.sentences import SENTENCES

pytest.importorskip("espeakng_loader", reason="espeakng-loader (extra [toy]) is not installed")


def corpus_folder(folder):
    (path,) = (p for p in (folder / "toy").iterdir() if p.is_dir())
    return path


def test_a_second_call_starts_no_process_and_reads_the_same(recordings, monkeypatch):
    folder, spoken = recordings
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: pytest.fail("the generator ran again"))
    assert synthesise(SENTENCES, folder) == spoken


@pytest.mark.parametrize("name", ["wav/b.wav", "alignments.jsonl", cache.SUMS])
@pytest.mark.parametrize("how", ["flip", "cut", "remove"])
def test_damage_is_logged_and_repaired(tmp_path, caplog, name, how):
    sentences = [SENTENCES[1]]
    first = synthesise(sentences, tmp_path)
    whole = first[0].wav_path.read_bytes()
    victim = corpus_folder(tmp_path) / name
    data = victim.read_bytes()
    if how == "remove":
        victim.unlink()
    else:
        victim.write_bytes(data[:-9] if how == "cut" else bytes([data[0] ^ 1]) + data[1:])
    with caplog.at_level(logging.WARNING):
        assert synthesise(sentences, tmp_path) == first
    assert "is damaged" in caplog.text and name in caplog.text
    assert first[0].wav_path.read_bytes() == whole


@pytest.mark.parametrize("voice", ["en-us+nobody", "xx"])
def test_an_unknown_voice_is_named_and_leaves_nothing(tmp_path, voice):
    with pytest.raises(CorpusError, match="no voice.*" + voice.split("+")[-1]):
        synthesise([ToySentence("a", "hello", voice)], tmp_path)
    assert not [p for p in (tmp_path / "toy").iterdir() if p.suffix != ".lock"]


def test_a_sentence_without_a_word_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match="sentence 'a': expected a text with a word"):
        synthesise([ToySentence("a", "?!", "en-us+m3")], tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_crash_of_the_library_is_an_error_with_its_last_lines(tmp_path, monkeypatch):
    crash = "import os, sys; print('espeak: bad data', file=sys.stderr, flush=True); os.kill(os.getpid(), 11)"
    monkeypatch.setattr(apart, "BOOTSTRAP", crash)
    with pytest.raises(CorpusError, match="signal 11(.|\n)*espeak: bad data"):
        synthesise(SENTENCES, tmp_path)


ASK = """
import json, signal, sys; from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
from dataset.espeak import ToySentence, synthesise
sentences = [ToySentence(f"u{i}", f"remind me about {' and '.join(['the garden'] * 6)}") for i in range(250)]
print(len(synthesise(sentences, Path(sys.argv[1]))))
"""


def ask(folder, cwd):
    """Start a process with the request, in a folder that has a module of our name."""
    (cwd / "dataset.py").write_text("raise ImportError('the wrong dataset')")
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", "import sys; sys.path.remove('')" + ASK, str(folder)]
    return subprocess.Popen(command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_audio(folder):
    for _ in range(2000):
        if len(list((folder / "toy").glob(".*/wav/*.wav"))) > 20:
            return
        time.sleep(0.005)
    pytest.fail("no audio appeared")


def generator_of(parent):
    children = Path(f"/proc/{parent}/task/{parent}/children")
    if not children.exists():
        pytest.skip("this system does not list the children of a process")
    (child,) = children.read_text().split()
    return int(child)


@pytest.mark.parametrize(("victim", "how"), [("child", "SIGKILL"), ("parent", "SIGKILL"), ("parent", "SIGINT")])
def test_a_kill_leaves_nothing_partial(tmp_path, victim, how):
    folder = tmp_path / "a cache"
    process = ask(folder, tmp_path)
    wait_for_audio(folder)
    child = generator_of(process.pid)
    os.kill(child if victim == "child" else process.pid, signal.Signals[how])
    out, err = process.communicate(timeout=30)
    assert process.returncode != 0 and out == ""
    if victim == "child":
        assert "CorpusError" in err and "signal 9" in err
    for _ in range(200):  # the generator ends once its parent has ended
        if not Path(f"/proc/{child}").exists():
            break
        time.sleep(0.02)
    assert not Path(f"/proc/{child}").exists()
    assert not [p for p in (folder / "toy").iterdir() if p.is_dir() and not p.name.startswith(".")]

    two = [ask(folder, tmp_path) for _ in range(2)]  # then two at once
    for again in two:
        out, err = again.communicate(timeout=60)
        assert (again.returncode, out.strip()) == (0, "250"), err
    assert [p.name[0] for p in (folder / "toy").iterdir() if p.is_dir()] != ["."]
    assert not list((folder / "toy").glob(".*")), "the killed one's folder is gone"
    sums = json.loads((corpus_folder(folder) / cache.SUMS).read_text())
    assert len(sums) == 251 and cache.verify(corpus_folder(folder)) is None
