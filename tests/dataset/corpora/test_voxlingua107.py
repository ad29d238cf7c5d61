"""VoxLingua107 holds out whole videos for validation and tests on dev."""

from __future__ import annotations

import pytest

from dataset.corpora import CorpusError
from dataset.corpora.voxlingua107 import VoxLingua107
from tests.parts.corpora import are_disjoint, rows_by_split, touch


def test_whole_videos_are_held_out_and_dev_is_tested(tmp_path):
    for language in ("en", "de", "ab"):
        for video in ("-0xY_z__1A2", "bB3", "cC4", "dD5", "eE6"):
            for n in range(3):
                touch(tmp_path / language / f"{video}__U__S{n}---0123.450-0130.000.wav")
        if language != "ab":
            touch(tmp_path / "dev" / language / "zZ9__U__S1---0001.000-0009.000.wav")
    rows = rows_by_split(VoxLingua107(dataset_root=str(tmp_path), valid_fraction=0.2).load(tmp_path))
    assert [len(part) for part in rows.values()] == [3 * 12, 3 * 3, 2]
    videos = {name: {(row["label"], row["video"]) for row in part} for name, part in rows.items()}
    assert are_disjoint(videos) and {row["label"] for row in rows["valid"]} == {"en", "de", "ab"}
    assert ("en", "-0xY_z__1A2") in videos["train"] | videos["valid"]
    chosen = VoxLingua107(dataset_root=str(tmp_path), languages=["de", "en"]).load(tmp_path)
    assert {row["label"] for row in chosen.train} == {"de", "en"}
    with pytest.raises(CorpusError, match="no folder for xx; it has ab, de, en"):
        VoxLingua107(dataset_root=str(tmp_path), languages=["de", "xx"]).load(tmp_path)
