"""Held-out sets and folds have the right size and whole groups, and do not depend on the order."""

from __future__ import annotations

from collections import Counter

import pytest

from dataset.corpora.common.holdout import divide, folds_of, hold_out

SIZES = {f"group{i}": 1 + i % 4 for i in range(80)}
STRATA = {group: "rare" if i < 8 else "common" for i, group in enumerate(SIZES)}


def number(groups):
    return sum(SIZES[group] for group in groups)


def test_about_the_wanted_number_is_held_out_in_any_order():
    total = sum(SIZES.values())
    for part in (0.05, 0.2, 0.5):
        chosen = hold_out(SIZES, part * total, 0)
        assert abs(number(chosen) - part * total) <= 2
        assert hold_out(dict(reversed(SIZES.items())), part * total, 0) == chosen
        assert hold_out(SIZES, part * total, 1) != chosen
    assert len(hold_out({"a": 5, "b": 5}, 0.01, 0)) == 1, "at least one"
    assert len(hold_out({"a": 5, "b": 5}, 100, 0)) == 1, "never all"


def test_the_same_part_of_every_stratum_is_held_out():
    chosen = hold_out(SIZES, 0.25 * sum(SIZES.values()), 3, STRATA)
    for stratum in ("rare", "common"):
        groups = [group for group in SIZES if STRATA[group] == stratum]
        assert abs(number(chosen & set(groups)) - 0.25 * number(groups)) <= 2
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
