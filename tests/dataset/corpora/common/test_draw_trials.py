"""Drawn trials: half of the same speaker, none twice, the same for the same seed."""

from __future__ import annotations

from collections import Counter

import pytest

from dataset.corpora import CorpusError
from dataset.corpora.common.draw_trials import draw_trials

ROWS = [{"id": f"{s}-{i}", "wav_path": f"/{s}/{i}.wav", "speaker": f"s{s}"} for s in range(6) for i in range(5)]


def test_half_are_of_the_same_speaker_and_none_is_drawn_twice():
    trials = draw_trials(ROWS, 60, 0)
    speaker = {row["id"]: row["speaker"] for row in ROWS}
    assert Counter(t["label"] for t in trials) == {"1": 30, "0": 30}
    for t in trials:
        assert (speaker[t["id1"]] == speaker[t["id2"]]) == (t["label"] == "1") and t["id1"] != t["id2"]
        assert t["wav_path1"] == f"/{t['id1'].replace('-', '/')}.wav"
    assert len({frozenset((t["id1"], t["id2"])) for t in trials}) == 60
    assert draw_trials(ROWS, 60, 0) == trials != draw_trials(ROWS, 60, 1)
    assert len({speaker[t["id1"]] for t in trials if t["label"] == "1"}) == 6, "every speaker in turn"


def test_if_there_are_fewer_pairs_all_are_taken():
    trials = draw_trials(ROWS, 10**6, 0)
    assert Counter(t["label"] for t in trials) == {"1": 6 * 10, "0": 30 * 29 // 2 - 60}
    assert len({frozenset((t["id1"], t["id2"])) for t in trials}) == 30 * 29 // 2
    assert all(t["id1"] != t["id2"] for t in trials)


@pytest.mark.parametrize("rows", [ROWS[:5], ROWS[::5]])
def test_without_pairs_of_both_kinds_no_trials_can_be_drawn(rows):
    with pytest.raises(CorpusError, match="at least two speakers"):
        draw_trials(rows, 10, 0)
