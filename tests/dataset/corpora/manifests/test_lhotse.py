"""lhotse's manifests: read as lhotse wrote them, and refused where our reading of the audio would differ from its."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from dataset.audio import read
from dataset.corpora import CorpusError
from dataset.corpora.manifests.lhotse import Lhotse, read_lhotse
from tests.parts.audio_files import NOISE

RECORDING = {
    "id": "r", "sources": [{"type": "file", "channels": [0], "source": "/r.wav"}], "sampling_rate": 16000,
    "num_samples": 32000, "duration": 2.0, "channel_ids": [0],
}  # fmt: skip
SUPERVISION = {"id": "s", "recording_id": "r", "start": 0.5, "duration": 1.0, "channel": 0, "text": "hi"}
CUT = {"id": "c", "start": 0.25, "duration": 1.5, "channel": 0, "recording": RECORDING, "type": "MonoCut"}


def cuts(folder: Path, *records: dict) -> Path:
    path = folder / "cuts.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_what_lhotse_wrote_is_read_with_the_same_audio_and_labels(tmp_path, write):
    lhotse = pytest.importorskip("lhotse")
    recordings = [
        lhotse.Recording.from_file(write(f"ä {n}/a.wav", NOISE[: 16000 * (n + 1)]), recording_id=f"r{n}")
        for n in range(2)
    ]
    supervisions = [
        lhotse.SupervisionSegment("0012", "r0", 0.0, 1.0, text="größe", speaker="anna", language="de", gender="f"),
        lhotse.SupervisionSegment("b", "r1", 0.5, 0.7, text="", speaker="ben", custom={"label": "loud", "n": 3}),
    ]
    manifests = lhotse.RecordingSet.from_recordings(recordings), lhotse.SupervisionSet.from_segments(supervisions)
    manifests[0].to_file(tmp_path / "my_recordings_train.jsonl.gz")
    manifests[1].to_file(tmp_path / "my_supervisions_train.jsonl.gz")
    lhotse.CutSet.from_manifests(*manifests).to_file(tmp_path / "my_cuts_train.jsonl")
    expected = [
        {"id": "0012", "wav_path": str(tmp_path / "ä 0/a.wav"), "transcription": "größe", "speaker": "anna",
         "language": "de", "gender": "f"},
        {"id": "b", "wav_path": str(tmp_path / "ä 1/a.wav"), "transcription": "", "speaker": "ben", "label": "loud",
         "n": "3", "start_sec": "0.5", "end_sec": "1.2"},
    ]  # fmt: skip
    for name in ("my_supervisions_train.jsonl.gz", "my_cuts_train.jsonl"):
        rows = [row for _, row in read_lhotse(tmp_path / name)]
        assert rows == expected
    segment = manifests[0]["r1"].load_audio(offset=0.5, duration=0.7)[0]
    ours = read(rows[1]["wav_path"], float(rows[1]["start_sec"]), float(rows[1]["end_sec"]))
    torch.testing.assert_close(ours, torch.from_numpy(segment.astype(np.float32)))


def test_supervisions_lie_inside_their_cut(tmp_path):
    late = {**SUPERVISION, "id": "late", "start": 1.0, "duration": 9.0}
    early = {**SUPERVISION, "id": "early", "start": -0.25, "duration": 0.75}
    (_, first), (_, second) = read_lhotse(cuts(tmp_path, {**CUT, "supervisions": [early, late]}))
    assert (first["start_sec"], first["end_sec"]) == ("0.25", "0.75")
    assert (second["start_sec"], second["end_sec"]) == ("1.25", "1.75")


@pytest.mark.parametrize(
    "file, name",
    [
        ("libri_cuts_test-clean.jsonl.gz", "libri_test-clean"),
        ("supervisions_test.jsonl", "test"),
        ("cuts.jsonl", "cuts"),
    ],
)
def test_a_test_set_is_called_by_what_its_file_names_beside_the_kind(file, name):
    assert list(Lhotse("train.jsonl", test=f"my/{file}")._test_paths()) == [name]


def test_a_cut_without_supervisions_is_an_utterance(tmp_path):
    ((_, row),) = read_lhotse(cuts(tmp_path, {**CUT, "supervisions": [], "custom": {"label": "x"}}))
    assert row == {"id": "c", "wav_path": "/r.wav", "start_sec": "0.25", "end_sec": "1.75", "label": "x"}


def test_both_channels_of_a_stereo_file_are_read_and_one_is_refused(tmp_path):
    stereo = {**RECORDING, "sources": [{"type": "file", "channels": [0, 1], "source": "/r.wav"}]}
    (tmp_path / "recordings.jsonl").write_text(json.dumps(stereo) + "\n")
    path = tmp_path / "supervisions.jsonl"
    path.write_text(json.dumps({**SUPERVISION, "channel": [1, 0]}) + "\n")
    assert read_lhotse(path)[0][1]["transcription"] == "hi"
    path.write_text(json.dumps(SUPERVISION) + "\n")
    with pytest.raises(CorpusError, match="line 1: channel 0 of the recording 'r', whose file has the channels"):
        read_lhotse(path)


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"type": "MixedCut", "tracks": []},
            "line 1: expected a supervision, or a MonoCut of a .*, got MixedCut",
        ),
        ({"recording": None}, "expected a supervision, or a MonoCut of a recording, got a cut without 'recording'"),
        ({"recording": {**RECORDING, "transforms": [{"name": "Speed"}]}}, "has transforms, which are not applied"),
        (
            {"recording": {**RECORDING, "sources": RECORDING["sources"] * 2}},
            "has the sources: file, file; expected",
        ),
        ({"recording": {**RECORDING, "sources": [{"type": "url"}]}}, "has the sources: url; expected one file"),
        ({"duration": "x"}, "line 1: 'duration' is 'x'; expected a number"),
    ],
)
def test_other_audio_is_refused(tmp_path, changes, message):
    with pytest.raises(CorpusError, match=message):
        read_lhotse(cuts(tmp_path, {**CUT, "supervisions": [SUPERVISION], **changes}))


def test_files_that_do_not_fit_are_named(tmp_path):
    path = tmp_path / "supervisions_train.jsonl"
    path.write_text(json.dumps(SUPERVISION) + "\n")
    with pytest.raises(CorpusError, match="there is no file .*recordings_train.jsonl"):
        read_lhotse(path)
    (tmp_path / "recordings_train.jsonl").write_text(json.dumps({**RECORDING, "id": "other"}) + "\n")
    with pytest.raises(CorpusError, match="supervisions_train.jsonl, line 1: .*recordings_train.jsonl has no reco"):
        read_lhotse(path)
    (tmp_path / "recordings_train.jsonl").write_text(2 * (json.dumps(RECORDING) + "\n"))
    with pytest.raises(CorpusError, match="recordings_train.jsonl, line 2: a line before has the same id 'r'"):
        read_lhotse(path)
    with pytest.raises(CorpusError, match="expected .jsonl or .jsonl.gz; convert it: lhotse copy cuts.yaml"):
        read_lhotse(tmp_path / "cuts.yaml")
    with pytest.raises(CorpusError, match="expected a supervision, or a MonoCut of a recording, got keys"):
        read_lhotse(tmp_path / "recordings_train.jsonl")
    path.rename(tmp_path / "train.jsonl")
    with pytest.raises(CorpusError, match="train.jsonl has supervisions, whose recordings are looked for in the file"):
        read_lhotse(tmp_path / "train.jsonl")
    assert [file.name for file in Lhotse(str(path), test_fraction=0.1).sources()] == [
        "supervisions_train.jsonl",
        "recordings_train.jsonl",
    ]
    (tmp_path / "cut.jsonl.gz").write_bytes(b"\x1f\x8b\x08\x00 cut")
    with pytest.raises(CorpusError, match="cut.jsonl.gz cannot be read after line 0"):
        read_lhotse(tmp_path / "cut.jsonl.gz")
