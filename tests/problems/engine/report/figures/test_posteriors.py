"""The figure of posteriors has the times at which symbols are likely; what is damaged is left out."""

from __future__ import annotations

import json

import pytest

from problems.engine.report.figures.posteriors import pixels, posteriors_figure, read_posteriors
from tests.parts.target_folders import SCRIPT

TEXT = json.dumps({"symbols": ["b", SCRIPT], "levels": ["0zz00", "0004z"], "frame_sec": 0.5})


def test_a_row_for_each_time_at_which_a_symbol_is_likely():
    figure = posteriors_figure("own", read_posteriors(TEXT))
    assert [row.cells for row in figure.rows] == [["b", "0.50", "1.50", "100%"], [SCRIPT, "1.50", "2.50", "100%"]]
    assert str(figure.svg).count('class="f0"') == 4 and 'fill-opacity="0.11"' in str(figure.svg)
    assert "<script" not in str(figure.svg)


def test_the_picture_is_black_where_a_symbol_is_certain():
    grey = pixels(read_posteriors(TEXT))
    assert grey.shape == (16, 20) and grey.dtype == "uint8"
    assert (grey[:8, 4:12] == 0).all() and (grey[:8, :4] == 255).all() and (grey[8:, 16:] == 0).all()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"symbols": ["a"], "levels": ["0?"], "frame_sec": 1}', TEXT.replace('"b", ', ""), "null"]
)
def test_damaged_ones_are_none(text):
    assert read_posteriors(text) is None
