"""The history and TensorBoard: each step once after any resume, and readable whatever the numbers are."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from problems.engine.loops.monitoring.history import History, Stopwatch
from problems.engine.report.history import DECLARATIONS, HISTORY, read_history
from tasks.metrics.kinds import from_json
from tests.parts.metrics import KINDS, METRICS


def train(folder: Path, steps: range) -> None:
    """Log a loss for each of ``steps`` and metrics at even ones."""
    history, stopwatch = History(folder, steps.start - 1, KINDS), Stopwatch(steps.start - 1)
    for step in steps:
        history.log("train", step, step / 4, {"loss": 1 / step, "lr": 0.1} | stopwatch.read(step))
        if step % 2 == 0:
            history.log("valid", step, step / 4, METRICS)
    history.close()


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
    history = History(tmp_path, 0, {})
    history.log("valid", 1, 0.5, {"loss": math.nan, "wer": math.inf})
    history.close()
    text = (tmp_path / HISTORY).read_text()
    assert json.loads(text, parse_constant=lambda name: pytest.fail(name))["loss"] is None
    History(tmp_path, 1, {}).close()  # and a resumed training can read it


def test_the_declarations_stand_beside_the_history(tmp_path):
    train(tmp_path, range(1, 3))
    assert from_json(json.loads((tmp_path / DECLARATIONS).read_text())) == KINDS
