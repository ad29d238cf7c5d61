"""Common Voice has its own splits, limited in clips on request."""

from __future__ import annotations

import pytest

from dataset.corpora import CorpusError
from dataset.corpora.common_voice import CommonVoice
from tests.parts.corpora import rows_by_split


def test_the_splits_are_those_of_the_tables(tmp_path):
    for language in ("cy", "zh-CN"):
        for split in ("train", "dev", "test"):
            (tmp_path / language / "clips").mkdir(parents=True, exist_ok=True)
            lines = [f'{split}{n}\tcommon_voice_{language}_{split}{n}.mp3\t"你好 {n}\t2\n' for n in range(4)]
            table = "client_id\tpath\tsentence\tup_votes\n" + "".join(lines)
            (tmp_path / language / f"{split}.tsv").write_text(table, encoding="utf-8")
    rows = rows_by_split(CommonVoice(dataset_root=str(tmp_path), max_clips=3).load(tmp_path))
    assert [len(part) for part in rows.values()] == [6, 6, 6]
    row = rows["valid"][-1]
    assert row["label"] == "zh-CN" and row["transcription"] == '"你好 2' and row["speaker"] == "dev2"
    assert row["wav_path"] == str(tmp_path / "zh-CN/clips/common_voice_zh-CN_dev2.mp3")
    (tmp_path / "cy/dev.tsv").unlink()
    with pytest.raises(CorpusError, match="cy/dev.tsv"):
        CommonVoice(dataset_root=str(tmp_path)).load(tmp_path)
