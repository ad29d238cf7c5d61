"""The actors of CREMA-D are divided into folds, and each is tested once."""

from __future__ import annotations

import pytest

from dataset.corpora import CorpusError
from dataset.corpora.crema_d import CREMAD
from tests.parts.corpora import are_disjoint, rows_by_split, touch, values


def test_each_actor_is_tested_in_one_fold(tmp_path):
    for actor in range(1001, 1011):
        for emotion in ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD"):
            touch(tmp_path / "AudioWAV" / f"{actor}_DFA_{emotion}_XX.wav")
    tested = []
    for fold in range(5):
        rows = rows_by_split(CREMAD(dataset_root=str(tmp_path), test_fold=fold).load(tmp_path))
        speakers = values(rows, "speaker")
        assert are_disjoint(speakers) and [len(s) for s in speakers.values()] == [6, 2, 2]
        tested += sorted(speakers["test"])
    assert sorted(tested) == [str(actor) for actor in range(1001, 1011)], "each actor is tested once"
    labels = {"anger", "disgust", "fear", "happy", "neutral", "sad"}
    assert values(rows, "label")["test"] == labels
    with pytest.raises(CorpusError, match="test_fold below folds"):
        CREMAD(dataset_root=str(tmp_path), test_fold=5).load(tmp_path)
    touch(tmp_path / "AudioWAV/1001_DFA_JOY_XX.wav")
    with pytest.raises(CorpusError, match="1001_DFA_JOY_XX.wav: expected a name"):
        CREMAD(dataset_root=str(tmp_path)).load(tmp_path)
