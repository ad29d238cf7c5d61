"""Audio is embedded once, small, in the order of the page up to a limit, and what cannot be read is noted."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
import soundfile

from problems.engine.report.audio_clips import Audio, Clips
from tests.conftest import write_table


def sine(path, seconds: float = 1.0, rate: int = 8000, channels: int = 1) -> str:
    time = np.arange(int(seconds * rate)) / rate
    soundfile.write(path, np.tile(0.3 * np.sin(2 * np.pi * 440 * time)[:, None], channels), rate)
    return str(path)


def decoded(clip) -> tuple[np.ndarray, int]:
    head, _, content = clip.uri.partition(",")
    assert head == "data:audio/mpeg;base64"
    return soundfile.read(io.BytesIO(base64.b64decode(content)))


@pytest.mark.parametrize("rate, channels", [(8000, 1), (44100, 2)])
def test_a_clip_is_the_utterance_at_16_khz_in_4_kb_a_second(tmp_path, rate, channels):
    path = sine(tmp_path / "a b ü.wav", 2.0, rate, channels)
    csv = write_table(tmp_path / "test.csv", [{"id": "u1", "wav_path": path, "start_sec": "0.5", "end_sec": "1.5"}])
    audio = Audio(csv, Clips())
    (clip,) = audio.clips("u1")
    samples, sample_rate = decoded(clip)
    assert sample_rate == 16000 and samples.ndim == 1 and len(samples) / 16000 == pytest.approx(1.0, abs=0.15)
    peak = np.argmax(np.abs(np.fft.rfft(samples))) * 16000 / len(samples)
    assert peak == pytest.approx(440, abs=5) and len(clip.uri) < 4 / 3 * 6000
    assert audio.times_of("u1") == {"start_sec": 0.5, "end_sec": 1.5} and clip.path == path


def test_clips_are_taken_up_to_the_limit_and_a_repeated_one_costs_nothing(tmp_path):
    rows = [{"id": f"u{n}", "wav_path": sine(tmp_path / f"{n}.wav", 1 + 3 * (n == 1))} for n in range(3)]
    page = Clips(limit_bytes=10_000)
    audio = Audio(write_table(tmp_path / "test.csv", rows), page)
    first, long, third = (audio.clips(row["id"])[0] for row in rows)
    again = Audio(tmp_path / "test.csv", page).clips("u0")[0]
    assert first.uri and third.uri and first.key != third.key
    assert not long.uri and long.path == rows[1]["wav_path"]
    assert again.is_repeated and again.key == first.key and not again.uri
    assert page.notes == ["The audio of 1 utterance is left out: the page holds at most 10 kB of audio."]


def test_a_file_that_cannot_be_read_is_noted_once_by_name(tmp_path):
    (tmp_path / "empty.wav").write_bytes(b"")
    rows = [{"id": n, "wav_path": str(tmp_path / f"{n}.wav")} for n in ("empty", "gone")]
    page = Clips()
    audio = Audio(write_table(tmp_path / "test.csv", rows), page)
    clips = [clip for row in rows for clip in audio.clips(row["id"])]
    assert [clip.uri for clip in clips] == ["", ""] and clips[0].path.endswith("empty.wav")
    (note,) = page.notes
    assert note.startswith("The audio of 2 utterances cannot be shown, such as ") and "empty.wav" in note


def test_each_side_of_a_trial_and_each_utterance_of_an_enrolment_has_its_audio(tmp_path):
    a, b, c = (sine(tmp_path / f"{name}.wav") for name in "abc")
    row = {"id1": "a ; b", "id2": "c", "wav_path1": f"{a} ; {b}", "wav_path2": c, "label": "1"}
    audio = Audio(write_table(tmp_path / "test.csv", [row]), Clips())
    assert [clip.path for clip in audio.clips("a ; b")] == [a, b]
    assert [clip.path for clip in audio.clips("c")] == [c]


@pytest.mark.parametrize("content", [None, "", "id,text\nu1,a\n", "id,wav_path,start_sec\nu1,a.wav,soon\n"])
def test_without_metadata_there_is_no_audio(tmp_path, content):
    if content is not None:
        (tmp_path / "test.csv").write_text(content)
    assert Audio(tmp_path / "test.csv", Clips()).clips("u1") == []
