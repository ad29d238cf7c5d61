"""NeMo's manifests: keys become columns, offsets segments."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dataset.corpora import CorpusError
from dataset.corpora.manifests.nemo import NeMo


def manifest(path: Path, *records: object) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (record if isinstance(record, str) else json.dumps(record, ensure_ascii=False) for record in records)
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return str(path)


def test_keys_become_columns(tmp_path):
    train = manifest(
        tmp_path / "my set/train.jsonl",
        {"audio_filepath": "wav/a.wav", "duration": 1.5, "text": "größe", "lang": "de", "speaker": 7},
        {"audio_filepath": "/b.wav", "offset": 0.1, "duration": 0.2, "text": None, "extra": {"n": [1, True]}},
    )
    test = manifest(tmp_path / "dev_other.test.json", {"audio_filepath": "wav/a.wav", "duration": 1, "text": "x"})
    splits = NeMo(train, test=test, valid_fraction=0).load(tmp_path)
    assert splits.train == [
        {"id": "wav/a", "wav_path": f"{tmp_path}/my set/wav/a.wav", "transcription": "größe", "language": "de",
         "speaker": "7", "start_sec": "", "end_sec": "", "extra": ""},
        {"id": "b-0.1-0.3", "wav_path": "/b.wav", "transcription": "", "language": "",
         "speaker": "", "start_sec": "0.1", "end_sec": "0.3", "extra": '{"n": [1, true]}'},
    ]  # fmt: skip
    # the same relative path, and another file: no utterance is in two sets
    assert splits.test == {"dev_other": [{"id": "wav/a", "wav_path": f"{tmp_path}/wav/a.wav", "transcription": "x"}]}


def test_columns_are_renamed_and_split_as_those_of_a_csv(tmp_path):
    records = [{"audio_filepath": f"{i}.wav", "command": "yes", "speaker": f"s{i % 4}"} for i in range(20)]
    corpus = NeMo(manifest(tmp_path / "a.json", *records), columns={"label": "command"}, split_by="speaker",
                  test_fraction=0.25)  # fmt: skip
    splits = corpus.load(tmp_path)
    assert {row["label"] for row in splits.train} == {"yes"} and len(splits.test["test"]) == 5
    assert not {row["speaker"] for row in splits.train} & {row["speaker"] for row in splits.test["test"]}
    with pytest.raises(CorpusError, match="has no column 'comand' .did you mean 'command'"):
        NeMo(corpus.train, columns={"label": "comand"}, test_fraction=0.25).load(tmp_path)


@pytest.mark.parametrize(
    "records, message",
    [
        (['{"audio_filepath": "a.wav"}', "{"], "a.jsonl, line 2: not a JSON object"),
        (["[1]"], "a.jsonl, line 1: expected a JSON object, got '\\[1\\]'"),
        (['{"text": "x", "text": "y"}'], "line 1: .*the key 'text' is there twice"),
        ([{"text": "x"}], "line 1: expected 'audio_filepath', the path of one file, got None"),
        ([{"audio_filepath": ["l.wav", "r.wav"]}], "expected 'audio_filepath', the path of one file, got"),
        ([{"audio_filepath": "a.wav", "offset": 1}], "'duration' .beside 'offset'. is None; expected a number"),
        ([{"audio_filepath": "a.wav", "shard_id": 0}], "'shard_id' says that the audio is in tar files"),
        ([{"audio_filepath": "a.wav"}, {"audio_filepath": "./a.wav"}], "line 2: line 1 has the same id 'a'"),
        ([], "a.jsonl lists no utterance"),
    ],
)
def test_mistakes_are_named_with_file_and_line(tmp_path, records, message):
    with pytest.raises(CorpusError, match=message):
        NeMo(manifest(tmp_path / "a.jsonl", *records), test_fraction=0.3).load(tmp_path)
