"""The CSVs that s3prl's problems write: their columns are ours, and tags of slots become slots."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from dataset.corpora import CorpusError
from dataset.corpora.manifests.s3prl import S3prl


def test_csvs_as_pandas_writes_them(tmp_path, write, monkeypatch):
    write("wav/a.wav")
    monkeypatch.chdir(tmp_path)
    frame = {"id": ["0012", "b", "c"], "wav_path": ["wav/a.wav", "/b.wav", "/c.wav"], "label": ["yes", "NA", "no"]}
    pd.DataFrame(frame | {"start_sec": [0.5, None, None]}).to_csv(tmp_path / "elsewhere.csv", index=False)
    splits = S3prl("elsewhere.csv", test_fraction=0.3, valid_fraction=0).load(tmp_path)
    rows = {row["id"]: row for row in splits.train + splits.test["test"]}
    first = {"id": "0012", "wav_path": f"{tmp_path}/wav/a.wav", "label": "yes", "start_sec": "0.5"}
    assert rows["0012"] == first and rows["b"]["label"] == "NA"


def test_tags_become_slots(tmp_path):
    train = tmp_path / "train.csv"
    text = "id,wav_path,transcription,iob\na,a.wav,wake me at five am,O O O B-time I-time\nb,b.wav,hi,O\n"
    train.write_text(text)
    splits = S3prl(str(train), test_fraction=0.3, valid_fraction=0).load(tmp_path)
    slots = {row["id"]: json.loads(row["slots"]) for row in splits.train + splits.test["test"]}
    assert slots == {"a": [["time", "five am"]], "b": []}
    train.write_text(text.replace("hi,O", "hi there,O"))
    with pytest.raises(CorpusError, match="train.csv, line 3: 1 tags in 'iob' for 2 words"):
        S3prl(str(train), test_fraction=0.3).load(tmp_path)
