"""Manifests that are written are read back as the same utterances, by us and by the toolkits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dataset.audio import info
from dataset.corpora import CorpusError
from dataset.corpora.manifests.kaldi import Kaldi
from dataset.corpora.manifests.lhotse import Lhotse
from dataset.corpora.manifests.nemo import NeMo
from dataset.corpora.manifests.writers import WRITERS
from tests.parts.audio_files import NOISE

PLACES = {
    "kaldi": (Kaldi, "some set"),
    "nemo": (NeMo, "some set.jsonl"),
    "lhotse": (Lhotse, "supervisions_some set.jsonl.gz"),
}


def whole(write) -> list[dict[str, str]]:
    """Utterances that are files: two in folders of the same name, one of 8 kHz, one of two channels."""
    files = {
        "b-2": write("x/größe 1.wav", NOISE[:16000]),
        "b-10": write("y/größe 1.wav", NOISE[:8000], rate=8000),
        "a": write("stereo.flac", NOISE[:20000].reshape(-1, 2)),
    }
    texts = {"b-2": "größe  null", "b-10": "", "a": 'say "so", NA'}
    speakers = {"b-2": ("ben", "m"), "b-10": ("ben", "m"), "a": ("anna", "f")}
    return [
        {"id": id, "wav_path": str(path), "seconds": f"{info(path).seconds:.6g}", "transcription": texts[id],
         "speaker": speakers[id][0], "gender": speakers[id][1], "language": "de", "label": f"00{len(id)}"}
        for id, path in files.items()
    ]  # fmt: skip


def segments(write) -> list[dict[str, str]]:
    """Pieces of one file, and a whole file."""
    path, other = str(write("one.wav", NOISE[:32000])), str(write("other.wav"))
    rows = [("s1", path, "0.5", "0.725"), ("s0", path, "0.725", "1.9"), ("w", other, "", "")]
    return [
        {"id": id, "wav_path": wav, "seconds": "0.5", "start_sec": start, "end_sec": end, "spk": "anna", "turns": "[]"}
        for id, wav, start, end in rows
    ]


def read_back(form: str, folder: Path, cache: Path) -> dict[str, dict[str, str]]:
    """The rows of a set that was written, without empty cells."""
    kind, name = PLACES[form]
    splits = kind(str(folder / name), test_fraction=0.3, valid_fraction=0).load(cache)
    rows = {row["id"]: row for row in splits.train + splits.test["test"]}
    return {id: {name: text for name, text in row.items() if text} for id, row in rows.items()}


@pytest.mark.parametrize("form", WRITERS)
def test_whole_files_are_read_back_as_the_same_rows(form, tmp_path, write):
    rows = whole(write)
    (tmp_path / "out").mkdir()
    WRITERS[form](rows, tmp_path / "out", "some set")
    expected = {row["id"]: {k: v for k, v in row.items() if v and k != "seconds"} for row in rows}
    assert read_back(form, tmp_path / "out", tmp_path / "cache") == expected


@pytest.mark.parametrize("form", WRITERS)
def test_segments_are_read_back_as_the_same_rows(form, tmp_path, write):
    rows = segments(write)
    (tmp_path / "out").mkdir()
    WRITERS[form](rows, tmp_path / "out", "some set")
    expected = {}
    for row in rows:
        kept = {name: text for name, text in row.items() if text and name not in ("seconds", "spk")}
        expected[row["id"]] = kept | {"speaker": "anna"}
    if form == "kaldi":  # whose segments have no open ends of files without a length
        expected["w"] |= {"start_sec": "0", "end_sec": "0.5"}
    assert read_back(form, tmp_path / "out", tmp_path / "cache") == expected


def test_a_data_folder_is_as_kaldi_wants_it(tmp_path, write):
    rows = whole(write)
    WRITERS["kaldi"](rows, tmp_path, "set")
    files = {path.name: path.read_text("utf-8") for path in (tmp_path / "set").iterdir()}
    assert set(files) == {"wav.scp", "text", "utt2spk", "spk2utt", "spk2gender", "utt2dur", "utt2lang", "utt2label"}
    for text in files.values():
        keys = [line.split(" ")[0].encode() for line in text.splitlines()]
        assert keys == sorted(keys) and text.endswith("\n")
    spk2utt = dict(line.split(" ", 1) for line in files["spk2utt"].splitlines())
    utt2spk = dict(line.split(" ") for line in files["utt2spk"].splitlines())
    assert {u: s for s, utterances in spk2utt.items() for u in utterances.split()} == utt2spk
    assert files["spk2gender"] == "anna f\nben m\n"
    assert files["text"].splitlines()[1:] == ["b-10", "b-2 größe  null"]


def test_lhotse_opens_what_was_written(tmp_path, write):
    lhotse = pytest.importorskip("lhotse")
    from lhotse.recipes.utils import read_manifests_if_cached

    for rows, name in ((whole(write), "whole"), (segments(write), "parts")):
        WRITERS["lhotse"](rows, tmp_path, name)
        manifests = read_manifests_if_cached([name], tmp_path)[name]
        lhotse.validate_recordings_and_supervisions(**manifests)
        cuts = list(lhotse.CutSet.from_manifests(**manifests).trim_to_supervisions(keep_all_channels=True))
        assert len(cuts) == len(rows)
        by_id = {row["id"]: row for row in rows}
        for cut in cuts:
            row, (supervision,) = by_id[cut.supervisions[0].id], cut.supervisions
            assert cut.recording.sources[0].source == row["wav_path"]
            assert (supervision.text or "") == row.get("transcription", "")
            samples = cut.load_audio()
            start = float(row.get("start_sec") or 0)
            end = float(row.get("end_sec") or info(row["wav_path"]).seconds)
            assert samples.shape[1] == round((end - start) * info(row["wav_path"]).sample_rate)


def test_lhotse_opens_a_kaldi_folder_that_was_written(tmp_path, write):
    pytest.importorskip("lhotse")
    from lhotse.kaldi import load_kaldi_data_dir

    rows = segments(write)
    for row in rows:
        row["transcription"] = f"text of {row['id']}"
    WRITERS["kaldi"](rows, tmp_path, "set")
    recordings, supervisions, _ = load_kaldi_data_dir(tmp_path / "set", sampling_rate=16000)
    assert len(recordings) == 2
    spans = {s.id: (s.start, s.duration, s.text, s.speaker) for s in supervisions}
    assert spans["s0"] == (0.725, 1.175, "text of s0", "anna")


def test_nemos_keys(tmp_path, write):
    WRITERS["nemo"](segments(write), tmp_path, "set")
    records = [json.loads(line) for line in (tmp_path / "set.jsonl").read_text("utf-8").splitlines()]
    assert (records[0]["offset"], records[0]["duration"], records[0]["speaker"]) == (0.5, 0.225, "anna")
    assert "offset" not in records[2] and records[2]["duration"] == 0.5


def test_a_column_with_another_meaning_there_is_renamed_and_said(tmp_path, caplog):
    caplog.set_level("INFO")
    row = {"id": "a", "wav_path": "/a.wav", "seconds": "1", "transcription": "s oː", "text": "so"}
    WRITERS["nemo"]([row], tmp_path, "set")
    record = json.loads((tmp_path / "set.jsonl").read_text("utf-8"))
    assert (record["text"], record["text_"]) == ("s oː", "so")
    assert "the column text is written as text_" in caplog.text


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"id": "a b"}, "'a b' is no word, as Kaldi's ids and speakers must be"),
        ({"speaker": "anna b"}, "utt2spk: 'anna b' is no word"),
        ({"transcription": "a\nb"}, "text: .* of 'a' cannot be written on a line"),
        ({"wav_path": "/a.wav |"}, "wav.scp: '/a.wav |' of 'a' cannot be written"),
    ],
)
def test_what_kaldi_cannot_hold_is_refused(tmp_path, changes, message):
    row = {"id": "a", "wav_path": "/a.wav", "seconds": "1", "transcription": "x", "speaker": "s"}
    with pytest.raises(CorpusError, match=message.replace("|", r"\|")):
        WRITERS["kaldi"]([row | changes], tmp_path, "set")
