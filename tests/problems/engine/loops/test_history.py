"""The history, its display and TensorBoard: each step once, after any resume, and readable whatever the numbers are."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from problems.engine.loops.history import DECLARATIONS, HISTORY, Monitor, duration, read_history, shown
from tasks.metrics.kinds import Count, Number, Rate, from_json

METRICS = {"wer": 0.25, "cer": 0.125, "loss": 1.5, "words": 12, "substitutions": 3}
KINDS = {
    "wer": Rate(label="WER"),
    "cer": Rate(label="CER"),
    "loss": Number(),
    "words": Count(),
    "substitutions": Count(),
}


def train(folder: Path, steps: range, total: int = 10) -> None:
    """Log a loss for each of ``steps`` and validate at even ones."""
    monitor = Monitor(folder, steps.start - 1, total, declarations=KINDS)
    for step in steps:
        monitor.tick(step)
        monitor.log("train", step, step / 4, {"loss": 1 / step, "lr": 0.1} | monitor.speed(step))
        if step % 2 == 0:
            monitor.log("valid", step, step / 4, METRICS)
    monitor.close()


def events(folder: Path, tag: str) -> list[int]:
    board = EventAccumulator(str(folder / "tb"), size_guidance={"scalars": 0})
    board.Reload()
    return [event.step for event in board.Scalars(tag)]


def rows_of(folder: Path, split: str) -> list[int]:
    return [row["step"] for row in read_history(folder) if row["split"] == split]


@pytest.mark.parametrize("cut", range(0, 8))
def test_after_a_resume_each_step_is_there_once_and_none_is_missing(tmp_path, cut):
    train(tmp_path, range(1, 8))  # the checkpoint to resume from is of step ``cut``
    train(tmp_path, range(cut + 1, 11))
    assert rows_of(tmp_path, "train") == list(range(1, 11)) == events(tmp_path, "train/loss")
    assert rows_of(tmp_path, "valid") == [2, 4, 6, 8, 10] == events(tmp_path, "valid/wer")


def test_a_resumed_history_is_that_of_a_run_that_was_not_cut_but_for_times(tmp_path):
    train(tmp_path / "whole", range(1, 11))
    train(tmp_path / "cut", range(1, 8))
    train(tmp_path / "cut", range(6, 11))
    times = ("seconds", "steps_per_second")
    plain = [
        [{k: v for k, v in row.items() if k not in times} for row in read_history(tmp_path / name)]
        for name in ("whole", "cut")
    ]
    assert plain[0] == plain[1]


@pytest.mark.parametrize("torn", [b'{"step": 8, "spl', b"\0\0", '{"é'.encode()[:-1], b"\xff"])
def test_a_last_line_that_a_kill_tore_is_left_out(tmp_path, torn):
    train(tmp_path, range(1, 8))
    with open(tmp_path / HISTORY, "ab") as file:
        file.write(torn)
    assert rows_of(tmp_path, "train") == list(range(1, 8))
    train(tmp_path, range(8, 11))
    assert rows_of(tmp_path, "train") == list(range(1, 11)) == events(tmp_path, "train/loss")


def test_what_is_not_a_number_is_null_in_the_history(tmp_path):
    monitor = Monitor(tmp_path, 0, 10)
    monitor.log("valid", 1, 0.5, {"loss": math.nan, "wer": math.inf})
    monitor.close()
    text = (tmp_path / HISTORY).read_text()
    assert json.loads(text, parse_constant=lambda name: pytest.fail(name))["loss"] is None
    monitor = Monitor(tmp_path, 1, 10)  # and can be taken up
    monitor.close()


def test_without_a_terminal_there_are_plain_lines_with_the_time_that_is_left(tmp_path, caplog, capfd):
    with caplog.at_level(logging.INFO):
        train(tmp_path, range(1, 11))
    lines = [r.getMessage() for r in caplog.records]
    assert len(lines) == 15 and all("\r" not in line for line in lines)
    assert lines[0].startswith("  step  1/10  epoch   0.2  train  loss 1") and "left)" in lines[0]
    assert lines[2] == "  step  2/10  epoch   0.5  valid  WER 25.00%  CER 12.50%  loss 1.5"
    assert "left" not in lines[-2], "nothing is left after the last step"
    assert capfd.readouterr().out == ""


def test_metrics_for_people_have_the_chosen_one_first_rates_in_percent_and_no_counts():
    assert shown(METRICS, KINDS) == "WER 25.00%  CER 12.50%  loss 1.5"
    assert shown(METRICS, KINDS, "loss") == "loss 1.5  WER 25.00%  CER 12.50%"
    assert shown(METRICS, KINDS, "words") == "words 12  WER 25.00%  CER 12.50%  loss 1.5"
    assert shown({"loss": math.nan, "wer": 1.0}, KINDS) == "loss –  WER 100.00%"
    assert shown({"word_error": 8.132, "off": 3}, {}) == "word error 8.132  off 3", "undeclared: plain numbers"


def test_the_declarations_stand_beside_the_history(tmp_path):
    train(tmp_path, range(1, 3))
    assert from_json(json.loads((tmp_path / DECLARATIONS).read_text())) == KINDS


def test_durations_are_written_for_people():
    assert [duration(s) for s in (0.4, 42, 187, 3725)] == ["0:00", "0:42", "3:07", "1:02:05"]
