"""TensorBoard's events are those of torch's writer, and one that cannot be written ends nothing."""

from __future__ import annotations

import logging

import pytest
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from torch.utils.tensorboard import SummaryWriter

from problems.engine.loops.monitoring.board import Board


def events(folder) -> list[tuple]:
    (path,) = folder.iterdir()
    return [(event.step, event.file_version, str(event.summary)) for event in EventFileLoader(str(path)).Load()]


def fill(board) -> None:
    board.add_scalar("train/loss", 0.5, 3)
    board.add_text("samples/1", "    reference: ü", 4)
    board.close()


def test_the_events_are_those_of_torchs_writer(tmp_path):
    fill(Board(tmp_path / "ours"))
    fill(SummaryWriter(str(tmp_path / "theirs")))
    assert events(tmp_path / "ours") == events(tmp_path / "theirs")


@pytest.mark.parametrize("is_opened", [False, True])
def test_a_full_disk_is_warned_of_once_and_ends_nothing(is_opened, tmp_path, caplog, monkeypatch):
    full = open("/dev/full", "wb")
    board = Board(tmp_path / "tb")
    if is_opened:  # it fails when what is buffered is written
        monkeypatch.setattr("builtins.open", lambda *_, **__: full)
    else:
        board.folder.write_text("in the way")
    with caplog.at_level(logging.WARNING):
        board.add_scalar("train/loss", 0.5, 3)
        board.flush()
        fill(board)
    (record,) = caplog.records
    assert "the training goes on without them" in record.getMessage()
