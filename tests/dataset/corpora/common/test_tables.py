"""Rows chosen by their values, and what is said if there are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from dataset.corpora.common.base import CorpusError
from dataset.corpora.common.tables import select


def numbered(count: int) -> list[tuple[int, dict[str, str]]]:
    return [(number, {"mood": f"m{number:02}"}) for number in range(count)]


def test_rows_that_have_one_of_the_values_are_selected():
    lines = numbered(4)
    assert select(lines, {"mood": ["m01", "m03"]}, "only", Path("a.csv")) == [lines[1], lines[3]]
    assert select(lines, {"mood": "m02"}, "only", Path("a.csv")) == [lines[2]]


@pytest.mark.parametrize(("count", "end"), [(10, "'m09'"), (11, "'m09', ...")])
def test_values_that_do_not_occur_are_answered_with_the_first_ten_that_do(count, end):
    with pytest.raises(CorpusError) as refused:
        select(numbered(count), {"mood": "sad"}, "only", Path("a.csv"))
    assert str(refused.value).startswith("a.csv: no row has only.mood = 'sad'; the column has 'm00', 'm01'")
    assert str(refused.value).endswith(end)


def test_a_column_that_does_not_exist_is_named_with_the_nearest():
    with pytest.raises(CorpusError, match="a.csv has no column 'moods'.*'mood'.*which only names; it has mood"):
        select(numbered(1), {"moods": "sad"}, "only", Path("a.csv"))
