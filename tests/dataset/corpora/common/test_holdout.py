"""Held-out sets and folds: of the right size, whole groups, the same whatever the order; and trials."""

from __future__ import annotations

from collections import Counter

import pytest

from dataset.corpora import CorpusError
from dataset.corpora.common.draw_trials import draw_trials
from dataset.corpora.common.holdout import divide, folds_of, hold_out

SIZES = {f"group{i}": 1 + i % 4 for i in range(80)}
STRATA = {group: "rare" if i < 8 else "common" for i, group in enumerate(SIZES)}


def number(groups):
    return sum(SIZES[group] for group in groups)


def test_about_the_number_wanted_whatever_the_order():
    total = sum(SIZES.values())
    for part in (0.05, 0.2, 0.5):
        chosen = hold_out(SIZES, part * total, 0)
        assert abs(number(chosen) - part * total) <= 2
        assert hold_out(dict(reversed(SIZES.items())), part * total, 0) == chosen
        assert hold_out(SIZES, part * total, 1) != chosen
    assert len(hold_out({"a": 5, "b": 5}, 0.01, 0)) == 1, "at least one"
    assert len(hold_out({"a": 5, "b": 5}, 100, 0)) == 1, "never all"


def test_every_stratum_loses_the_same_part():
    chosen = hold_out(SIZES, 0.25 * sum(SIZES.values()), 3, STRATA)
    for stratum in ("rare", "common"):
        own = [group for group in SIZES if STRATA[group] == stratum]
        assert abs(number(chosen & set(own)) - 0.25 * number(own)) <= 2
    alone = hold_out({"a": 1, "b": 1, "c": 1}, 1, 0, {"a": "x", "b": "y", "c": "y"})
    assert len(alone) == 1 and "a" not in alone, "the only group of a stratum is not held out"


@pytest.mark.parametrize("strata", [None, STRATA])
def test_folds_are_a_partition_of_equal_sizes(strata):
    folds = folds_of(SIZES, 5, 0, strata)
    assert folds.keys() == SIZES.keys() and set(folds.values()) == set(range(5))
    sizes = Counter({fold: number(g for g in SIZES if folds[g] == fold) for fold in range(5)})
    assert max(sizes.values()) - min(sizes.values()) <= 4
    if strata:
        rare = Counter(folds[group] for group in SIZES if STRATA[group] == "rare")
        assert set(rare.values()) <= {1, 2}
    assert folds_of(dict(reversed(SIZES.items())), 5, 0, strata) == folds


def test_rows_of_one_value_stay_together():
    rows = [{"id": str(i), "video": f"v{i // 3}"} for i in range(60)]
    held, rest = divide(rows, "video", 0.2)
    assert len(held) == 12 and len(rest) == 48
    assert not {row["video"] for row in held} & {row["video"] for row in rest}


class TestTrials:
    rows = [{"id": f"{s}-{i}", "wav_path": f"/{s}/{i}.wav", "speaker": f"s{s}"} for s in range(6) for i in range(5)]

    def test_half_are_of_one_speaker_and_none_comes_twice(self):
        trials = draw_trials(self.rows, 60, 0)
        speaker = {row["id"]: row["speaker"] for row in self.rows}
        assert Counter(t["label"] for t in trials) == {"1": 30, "0": 30}
        for t in trials:
            assert (speaker[t["id1"]] == speaker[t["id2"]]) == (t["label"] == "1") and t["id1"] != t["id2"]
            assert t["wav_path1"] == f"/{t['id1'].replace('-', '/')}.wav"
        assert len({frozenset((t["id1"], t["id2"])) for t in trials}) == 60
        assert draw_trials(self.rows, 60, 0) == trials != draw_trials(self.rows, 60, 1)
        assert len({speaker[t["id1"]] for t in trials if t["label"] == "1"}) == 6, "every speaker in turn"

    def test_where_there_are_fewer_pairs_all_are_taken(self):
        trials = draw_trials(self.rows, 10**6, 0)
        assert Counter(t["label"] for t in trials) == {"1": 6 * 10, "0": 30 * 29 // 2 - 60}
        assert len({frozenset((t["id1"], t["id2"])) for t in trials}) == 30 * 29 // 2

    @pytest.mark.parametrize("rows", [rows[:5], rows[::5]])
    def test_without_pairs_of_both_kinds_there_are_no_trials(self, rows):
        with pytest.raises(CorpusError, match="at least two speakers"):
            draw_trials(rows, 10, 0)
