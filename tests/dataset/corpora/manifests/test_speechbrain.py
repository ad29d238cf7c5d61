"""SpeechBrain's CSVs and JSON files: variables in paths, segments in samples, the columns of its recipes."""

from __future__ import annotations

import json

import pytest

from dataset.corpora import CorpusError
from dataset.corpora.manifests.speechbrain import SpeechBrain
from tests.parts.audio_files import tone


def rows(train, tmp_path, **settings):
    """All rows by id."""
    splits = SpeechBrain(str(train), test_fraction=0.3, valid_fraction=0, **settings).load(tmp_path)
    return {row["id"]: row for row in splits.train + splits.test["test"]}


def test_a_csv_with_a_root_and_spaces_after_commas(tmp_path):
    train = tmp_path / "train.csv"
    train.write_text('ID, duration, wav, spk_id, wrd\n1, 1.5, $data_root/a b.wav, 61, "HI, YOU"\n2,2,/c.flac,62,NA\n')
    assert rows(train, tmp_path, data_root=str(tmp_path / "my corpus")) == {
        "1": {"id": "1", "wav_path": f"{tmp_path}/my corpus/a b.wav", "speaker": "61", "transcription": "HI, YOU"},
        "2": {"id": "2", "wav_path": "/c.flac", "speaker": "62", "transcription": "NA"},
    }
    with pytest.raises(CorpusError, match="train.csv, line 2: .data_root in the path .* is unknown; set data_root"):
        rows(train, tmp_path)


def test_a_json_file(tmp_path):
    train = tmp_path / "train.json"
    entries = {
        "u 1": {"wav": "{data_root}/ü.wav", "length": 1.5, "spk_id": "61", "words": "größe", "n": 3},
        "u2": {"wav": {"file": "/b.wav"}, "length": 1.5, "spk_id": "62", "words": ""},
    }
    train.write_text(json.dumps(entries, ensure_ascii=False), "utf-8-sig")
    assert rows(train, tmp_path, data_root="/root") == {
        "u 1": {"id": "u 1", "wav_path": "/root/ü.wav", "speaker": "61", "transcription": "größe", "n": "3"},
        "u2": {"id": "u2", "wav_path": "/b.wav", "speaker": "62", "transcription": "", "n": ""},
    }


def test_start_and_stop_are_samples_of_the_file(tmp_path, write):
    write("a.wav", tone(2.0, rate=8000), rate=8000)
    train = tmp_path / "train.csv"
    train.write_text("ID,duration,wav,start,stop,spk_id\n1,2,a.wav,4000,12000,s\n2,2,a.wav,0,16000,s\n3,2,a.wav,1,,s\n")
    segments = {id: (row["start_sec"], row["end_sec"]) for id, row in rows(train, tmp_path).items()}
    assert segments == {"1": ("0.5", "1.5"), "2": ("", ""), "3": ("0.000125", "")}
    (tmp_path / "a.json").write_text('{"1": {"wav": {"file": "a.wav", "start": 800}}, "2": {"wav": "a.wav"}}')
    assert rows(tmp_path / "a.json", tmp_path)["1"]["start_sec"] == "0.1"


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("a.csv", "ID,wav\n1,\n", "a.csv, line 2: expected 'wav', the path of a file, got ''"),
        ("a.csv", "ID,path\n1,a.wav\n", "a.csv, line 2: expected 'wav', the path of a file, got None"),
        ("a.csv", "ID,wav\n1,a.wav\n1,b.wav\n", "a.csv, line 3: line 2 has the same id '1'"),
        ("a.csv", "ID,wav,start,stop\n1,none.wav,0,5\n", "line 2: .* the audio cannot be read: .*none.wav"),
        ("a.json", '{"1": {"wav": "a"}, "1": {"wav": "b"}}', "a.json: .*the key '1' is there twice"),
        ("a.json", '{"1": "a.wav"}', "a.json, entry 1: expected an object for '1', got 'a.wav'"),
        ("a.json", '{"1": {"wav": "a"},\n', "a.json: not a JSON object .*line 2"),
        ("a.json", "{}", "a.json lists no utterance"),
    ],
)
def test_mistakes_are_named(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(CorpusError, match=message):
        rows(tmp_path / name, tmp_path)
