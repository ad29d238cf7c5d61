"""Elements escape what they hold, and bars are as long as their numbers."""

from __future__ import annotations

from problems.engine.report.charts.figure import Bars, element
from tests.parts.target_folders import SCRIPT


def test_an_element_escapes_text_and_attributes():
    assert str(element("text", SCRIPT, class_='a"b', data_row=3, x=1.25)) == (
        '<text class="a&#34;b" data-row="3" x="1.2">&lt;script&gt;alert(1)&lt;/script&gt;</text>'
    )


def test_the_longest_bar_fills_its_place():
    bars = Bars.of_counts(("label", "utterances"), [("a", 1200), ("b", 300), ("c", 0)])
    assert [bars.share(value) for _, value, _ in bars.rows] == ["100.0", "25.0", "0.0"]
    assert bars.rows[0][2] == "1,200" and Bars("", ("", ""), []).share(1.0) == "0"
