"""A declaration formats its values, and comes back from JSON as it was."""

from __future__ import annotations

import json
import math

import pytest

from tasks.metrics.kinds import Count, Number, Rate, from_json, to_json


def test_a_rate_is_in_percent_a_count_in_digits_and_a_number_in_four_figures():
    assert [Rate().format(v) for v in (0.08312, 1, 1.25, None, math.inf)] == ["8.31%", "100.00%", "125.00%", "–", "∞"]
    numbers = (0.123456, 8.132, 2.5e-7, 1e13, math.nan, -math.inf)
    assert [Number().format(v) for v in numbers] == ["0.1235", "8.132", "2.5e-07", "1e+13", "–", "-∞"]
    assert [Count().format(v) for v in (1200, 1200.0, 0)] == ["1,200", "1,200", "0"]


def test_a_heading_is_the_label_or_the_name_with_the_unit():
    assert Rate(label="WER").heading("wer") == "WER"
    assert Number(unit="bits").heading("cross_entropy") == "cross entropy (bits)"


def test_declarations_come_back_from_json():
    metrics = {"wer": Rate(better="lower", label="WER"), "words": Count(), "cllr": Number(unit="bits", better="lower")}
    assert from_json(json.loads(json.dumps(to_json(metrics)))) == metrics


UNREADABLE = (
    '{"a": {"kind": "x"}}',
    '{"a": {"kind": []}}',
    '{"a": {"kind": "rate", "x": 1}}',
    '{"a": {"kind": "rate", "better": "more"}}',
    '{"a": 3}',
    '{"a": {}}',
    "[1]",
    "null",
)


@pytest.mark.parametrize("text", UNREADABLE)
def test_what_cannot_be_read_is_left_out(text):
    assert from_json(json.loads(text)) == {}


def test_mistakes_name_what_was_expected():
    with pytest.raises(ValueError, match="better is 'less': expected 'lower', 'higher' or None"):
        Rate(better="less")
    with pytest.raises(TypeError, match=r"metric 'wer' is declared as 'rate': expected Rate\(\), Count\(\) or"):
        to_json({"words": Count(), "wer": "rate"})
