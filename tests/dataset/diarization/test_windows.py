"""Windows of recordings have the turns or the events inside them, in seconds from their start."""

from __future__ import annotations

import json

import pytest

from dataset.diarization.windows import windows_of
from tests.conftest import write_table


@pytest.mark.parametrize("column", ["turns", "events"])
def test_a_window_has_what_is_inside_it(tmp_path, column):
    spans = [[0.5, 3.0, "a ü"], [4.5, 9.0, "b"]]
    row = {"id": "r", "wav_path": "r.wav", "seconds": "9.2", column: json.dumps(spans)}
    table = windows_of(str(write_table(tmp_path / "x.csv", [row])), 4.0, 4.0, column)
    assert list(table["id"]) == ["r@0", "r@4", "r@8"] and list(table["start_sec"]) == ["0.0", "4.0", "8.0"]
    assert [json.loads(cell) for cell in table[column]] == [
        [[0.5, 3.0, "a ü"]],
        [[0.5, 4.0, "b"]],
        [[0.0, 1.0, "b"]],
    ]


def test_a_cell_that_cannot_be_read_is_named_by_its_column(tmp_path):
    row = {"id": "r", "wav_path": "r.wav", "seconds": "9", "events": "bell"}
    with pytest.raises(ValueError, match="events: expected a JSON list of .start, end, label., got 'bell'"):
        windows_of(str(write_table(tmp_path / "x.csv", [row])), 4.0, 4.0, "events")
