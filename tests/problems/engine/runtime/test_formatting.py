"""Durations and tables as a person reads them."""

from __future__ import annotations

import pytest

from problems.engine.runtime.formatting import duration, table

TEXTS = [(0.04, "0.0 s"), (59.96, "1 min 00 s"), (200, "3 min 20 s"), (7500, "2 h 05 min"), (None, "–")]


@pytest.mark.parametrize("seconds, text", TEXTS)
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_a_table_has_aligned_columns():
    text = table(["name", "set", "WER"], [["a", "test", "8.3%"], ["long name", "x", "12.50%"]], left=2)
    assert text.splitlines() == [
        "name       set      WER",
        "---------  ----  ------",
        "a          test    8.3%",
        "long name  x     12.50%",
    ]
