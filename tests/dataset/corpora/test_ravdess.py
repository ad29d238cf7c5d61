"""RAVDESS is divided by actors, without the songs."""

from __future__ import annotations

from dataset.corpora.ravdess import RAVDESS
from tests.parts.corpora import are_disjoint, rows_by_split, touch, values


def test_songs_are_left_out_and_no_actor_is_in_two_splits(tmp_path):
    for actor in range(1, 25):
        for channel, emotion in (("01", "05"), ("01", "08"), ("02", "03")):
            touch(tmp_path / f"Actor_{actor:02}" / f"03-{channel}-{emotion}-01-02-01-{actor:02}.wav")
    assert RAVDESS(dataset_root=str(tmp_path)).test_fold == 0
    rows = rows_by_split(RAVDESS(dataset_root=str(tmp_path), test_fold=1).load(tmp_path))
    assert sum(map(len, rows.values())) == 48 and are_disjoint(values(rows, "speaker"))
    assert values(rows, "label")["train"] == {"angry", "surprised"}
    assert {row["gender"] for row in rows["test"] if row["speaker"] == "02"} == {"f"}
