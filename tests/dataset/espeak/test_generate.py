"""The generator under the toy corpus: sound, times, the cache, and what interruptions leave."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import torchaudio

from dataset.corpora import CorpusError
from dataset.espeak import Utterance, cache, synthesise
from dataset.espeak.alignment import align
from dataset.espeak.generate import resample

pytest.importorskip("espeakng_loader", reason="espeakng-loader (extra [toy]) is not installed")
ROOT = Path(__file__).resolve().parents[3]
SAID = [
    Utterance("a", "put the cup on the table, please"),
    Utterance("b", "to be or not to be, that is the question", "en-us+f3", rate=140, pitch=60),
    Utterance("c", "I'm at the café number 22", "en-us+m3", gain_db=-6, noise_db=-50),
    Utterance("d", "guten morgen liebe leute", "de+f2"),
]


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    return folder, synthesise(SAID, folder)


def corpus_folder(folder):
    (found,) = (p for p in (folder / "toy").iterdir() if p.is_dir())
    return found


def test_words_and_phones_lie_inside_the_audio_in_the_order_of_the_text(shared):
    _, spoken = shared
    expected = [
        "put the cup on the table please",
        "to be or not to be that is the question",
        "I'm at the café number 22",
        "guten morgen liebe leute",
    ]
    assert [" ".join(label for *_, label in s.words) for s in spoken] == expected
    for s in spoken:
        assert soundfile.info(s.wav_path).duration == s.seconds
        for segments in (s.words, s.phones):
            times = [t for start, end, _ in segments for t in (start, end)]
            assert times == sorted(times) and 0.1 <= times[0] and times[-1] <= s.seconds - 0.1 + 1e-4
            assert all(start < end and label for start, end, label in segments)
        starts = {start for start, *_ in s.phones}
        assert all(start in starts for start, *_ in s.words), "a word begins with a phone"


def test_word_times_agree_with_the_waveform(shared):
    """The comma of the first sentence is a pause: loud in the words beside it, silent between them."""
    spoken = shared[1][0]
    samples, rate = soundfile.read(spoken.wav_path)
    table, please = spoken.words[-2:]

    def level(start, end):
        return np.sqrt(np.mean(samples[round(start * rate) : round(end * rate)] ** 2))

    assert please[0] - table[1] > 0.05
    assert level(table[1] + 0.01, please[0]) < 0.01 * level(*table[:2])
    assert level(0, 0.095) < 1e-3 * level(*please[:2])


def test_gain_and_noise_are_what_was_asked(tmp_path):
    say = Utterance("x", "the rain in the garden")
    plain, quiet = (
        soundfile.read(synthesise([Utterance(**(vars(say) | kw))], tmp_path)[0].wav_path)[0]
        for kw in ({}, {"gain_db": -20.0, "noise_db": -40.0})
    )
    noise = quiet - 0.1 * plain
    assert 20 * np.log10(np.std(noise)) == pytest.approx(-40, abs=0.2)
    assert np.std(plain[:1600]) == 0


def test_resampling_agrees_with_torchaudio():
    t = np.arange(22050) / 22050
    x = sum(np.sin(2 * np.pi * f * t) for f in (200, 1000, 3000, 6000)) * np.hanning(len(t))
    expected = torchaudio.functional.resample(torch.from_numpy(x), 22050, 16000, lowpass_filter_width=256).numpy()
    ours = resample(x)
    assert len(ours) == len(expected) == 16000
    assert np.abs(ours - expected)[100:-100].max() < 2e-3


def test_words_pronounced_as_one_share_their_phones():
    phones = [("k", 0), ("ɪ", 10), ("n", 20), ("ð", 30), ("ə", 40), ("ˈæ", 50), ("", 70)]
    words, _ = align("k in the attic", [(0, 0, 0), (2, 8, 1), (9, 50, 5)], phones, 80)
    assert words == [(0, 10, "k"), (10, 30, "in"), (30, 50, "the"), (50, 70, "attic")]
    words, spans = align("a tea", [(0, 0, 0), (2, 8, 1)], [("ə", 0), ("t", 12), ("iː", 16)], 20)
    assert words == [(0, 8, "a"), (8, 20, "tea")] and spans[1] == (8, 16, "t")  # with the closure
    with pytest.raises(ValueError, match="'of it'.*too few sounds"):
        align("of it", [(0, 0, 0)], [("ə", 0)], 20)


def test_a_second_call_starts_no_process_and_reads_the_same(shared, monkeypatch):
    folder, spoken = shared
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: pytest.fail("the generator ran again"))
    assert synthesise(SAID, folder) == spoken


@pytest.mark.parametrize("name", ["wav/b.wav", "alignments.jsonl", cache.SUMS])
@pytest.mark.parametrize("how", ["flip", "cut", "remove"])
def test_damage_is_said_and_made_good(tmp_path, shared, caplog, name, how):
    said = [SAID[1]]
    first = synthesise(said, tmp_path)
    whole = first[0].wav_path.read_bytes()
    victim = corpus_folder(tmp_path) / name
    data = victim.read_bytes()
    if how == "remove":
        victim.unlink()
    else:
        victim.write_bytes(data[:-9] if how == "cut" else bytes([data[0] ^ 1]) + data[1:])
    with caplog.at_level(logging.WARNING):
        assert synthesise(said, tmp_path) == first
    assert "is damaged" in caplog.text and name in caplog.text
    assert first[0].wav_path.read_bytes() == whole


def test_mistakes_are_named_before_or_by_the_generator(tmp_path):
    for bad, match in [
        ([Utterance("a/b", "x")], "'a/b'"),
        ([Utterance("a", "x"), Utterance("a", "y")], "two utterances have the id 'a'"),
        ([Utterance("a", "...")], "'a' has no word"),
        ([Utterance("a", "x", rate=10)], "rate is 80-450 words a minute, got 10"),
        ([Utterance("a", "x", pitch=100)], "pitch is 0-99, got 100"),
    ]:
        with pytest.raises(ValueError, match=match):
            synthesise(bad, tmp_path)
    for voice in ("en-us+nobody", "xx"):
        with pytest.raises(CorpusError, match="no voice.*" + voice.split("+")[-1]):
            synthesise([Utterance("a", "hello", voice)], tmp_path)
    assert not [p for p in (tmp_path / "toy").iterdir() if p.suffix != ".lock"]


def test_a_crash_of_the_library_is_an_error_with_its_last_words(tmp_path, monkeypatch):
    crash = "import os, sys; print('espeak: bad data', file=sys.stderr, flush=True); os.kill(os.getpid(), 11)"
    monkeypatch.setattr(cache, "_BOOTSTRAP", crash)
    with pytest.raises(CorpusError, match="signal 11(.|\n)*espeak: bad data"):
        synthesise(SAID, tmp_path)


ASK = """
import json, signal, sys; from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit that it is ignored
from dataset.espeak import Utterance, synthesise
said = [Utterance(f"u{i}", f"remind me about {' and '.join(['the garden'] * 6)}") for i in range(250)]
print(len(synthesise(said, Path(sys.argv[1]))))
"""


def ask(folder, cwd):
    """The request in a process of its own, in a folder that has a module of our name."""
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
def test_a_kill_leaves_nothing_half(tmp_path, victim, how):
    folder = tmp_path / "a cache"
    process = ask(folder, tmp_path)
    wait_for_audio(folder)
    child = generator_of(process.pid)
    os.kill(child if victim == "child" else process.pid, signal.Signals[how])
    out, err = process.communicate(timeout=30)
    assert process.returncode != 0 and out == ""
    if victim == "child":
        assert "CorpusError" in err and "signal 9" in err
    for _ in range(200):  # the generator notices that nobody waits for it
        if not Path(f"/proc/{child}").exists():
            break
        time.sleep(0.02)
    assert not Path(f"/proc/{child}").exists()
    assert not [p for p in (folder / "toy").iterdir() if p.is_dir() and not p.name.startswith(".")]

    two = [ask(folder, tmp_path) for _ in range(2)]  # and then two at once
    for again in two:
        out, err = again.communicate(timeout=60)
        assert (again.returncode, out.strip()) == (0, "250"), err
    assert [p.name[0] for p in (folder / "toy").iterdir() if p.is_dir()] != ["."]
    assert not list((folder / "toy").glob(".*")), "the killed one's folder is gone"
    sums = json.loads((corpus_folder(folder) / cache.SUMS).read_text())
    assert len(sums) == 251 and cache.verify(corpus_folder(folder)) is None
