"""The check of a corpus: every planted fault is found and named, and nothing else."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile

from dataset.check import check, lines

NOISE = np.random.default_rng(0).normal(0, 0.05, 16000 * 3).astype(np.float32)


@pytest.fixture
def make(tmp_path):
    """A row of a new recording, of its own piece of noise."""
    made = []

    def make(wave=None, rate=16000, **columns):
        number = len(made)
        made.append(number)
        wave = np.roll(NOISE, 37 * number)[:16000] if wave is None else wave
        path = tmp_path / f"ü {number}.wav"
        soundfile.write(path, wave, rate, subtype="FLOAT")
        return {"id": f"u{number}", "wav_path": str(path), "transcription": "some words here", **columns}

    return make


def found(sets, **options):
    checked = check(sets, num_workers=2, **options)
    return checked, {(finding.kind, finding.where) for finding in checked.findings}


def test_nothing_is_found_in_a_good_corpus(make):
    sets = {"train": [make(label=x) for x in "abcabcabcabc"], "valid": [make(label="a")], "test": [make(label="c")]}
    checked, findings = found(sets, label="label", min_seconds=0.05)
    assert not findings and not checked.has_errors and list(lines(checked))[-1] == "nothing found"
    assert checked.sets["train"].utterances == 12 and checked.sets["train"].seconds == pytest.approx(12)
    assert checked.sets["train"].labels == [("a", 4), ("b", 4), ("c", 4)] and checked.sets["train"].rates == [16000]
    assert sum(number for _, number in checked.sets["train"].lengths) == 12


def test_each_fault_of_an_utterance_is_found(make, tmp_path):
    clipped = np.clip(NOISE[:16000] * 100, -1, 1)
    rows = {
        "silent": make(np.zeros(16000)),
        "clipped": make(clipped),
        "low sample rate": make(NOISE[:8000], 8000),
        "several channels": make(np.stack([NOISE[:16000], NOISE[5:16005]], axis=1)),
        "no transcript": make(transcription=" "),
        "too short": make(NOISE[:160]),
        "unusable audio": {"id": "gone", "wav_path": str(tmp_path / "gone.wav"), "transcription": "x"},
    }
    _, findings = found({"train": list(rows.values())}, min_seconds=0.05)
    assert findings == {(kind, f"train {row['id']}") for kind, row in rows.items()}


def test_files_that_cannot_be_used_are_errors_that_name_them(make, tmp_path):
    empty, cut = tmp_path / "empty.wav", tmp_path / "cut.wav"
    soundfile.write(empty, np.zeros(0), 16000)
    soundfile.write(cut, NOISE, 16000)
    cut.write_bytes(cut.read_bytes()[:2000])
    rows = [{"id": name, "wav_path": str(tmp_path / f"{name}.wav")} for name in ("empty", "cut", "none")]
    outside = make(start_sec="0.5", end_sec="7")
    checked, findings = found({"train": [make(), *rows, outside]})
    assert findings == {("unusable audio", f"train {name}") for name in ("empty", "cut", "none", outside["id"])}
    assert checked.has_errors and all("wav" in finding.text for finding in checked.findings)


def test_transcripts_that_do_not_fit_their_audio_are_found(make):
    rows = [make() for _ in range(12)] + [make(transcription="word " * 40), make(transcription="a")]
    _, findings = found({"train": rows})
    assert findings == {("transcript too fast", "train u12"), ("transcript too slow", "train u13")}


def test_what_two_splits_share_is_found(make):
    wave = NOISE[100:16100]
    sets = {
        "train": [make(wave, speaker="ann", label="a"), make(speaker="bob", label="b")],
        "valid": [make(speaker="eve", label="a")],
        "test": [make(wave, speaker="tom", label="a"), make(speaker="ann", label="new")],
        "noisy": [make(speaker="tom", label="b")],
    }
    sets["noisy"].append({**sets["test"][1]})  # two test sets may share utterances
    sets["valid"].append({**sets["train"][1], "speaker": "eve"})
    checked, findings = found(sets, label="label")
    errors = {(f.kind, f.where, f.text) for f in checked.findings if f.is_error}
    assert ("same audio in two splits", "test u3 and train u0", "the samples are equal") in errors
    assert ("utterance in two splits", "train and valid", "u1") in errors
    assert ("label without training data", "test", "new") in errors
    warnings = [f for f in checked.findings if f.kind == "speaker in two splits"]
    assert len(warnings) == 1 and not warnings[0].is_error and "1 speaker: ann" in warnings[0].text
    assert not [where for _, where in findings if "noisy" in where and "test" in where]


def test_segments_of_one_file_are_measured_alone(make):
    long = np.concatenate([NOISE[:16000], np.zeros(16000, np.float32)])
    row = make(long)
    rows = [{**row, "id": "speech", "end_sec": "1"}, {**row, "id": "pause", "start_sec": "1"}]
    checked, findings = found({"train": rows})
    assert findings == {("silent", "train pause")} and checked.sets["train"].seconds == pytest.approx(2)


def test_the_result_is_json_and_its_lines_are_short(make):
    rows = [make(np.zeros(1600)) for _ in range(30)]
    checked, _ = found({"train": rows})
    assert json.loads(json.dumps(checked.to_json()))["findings"][0]["kind"] == "silent"
    text = list(lines(checked))
    assert "warning: silent: 30" in text and "  ... and 25 more" in text
