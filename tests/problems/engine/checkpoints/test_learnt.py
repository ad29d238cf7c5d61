"""What a test has taught a task comes back for its checkpoint and its settings alone, and goes along with an export."""

from __future__ import annotations

import logging

import pytest

from problems.engine.checkpoints.learnt import LEARNT, copy_learnt, read_learnt, write_learnt
from problems.engine.checkpoints.writing import write
from problems.engine.runtime.checkpoint_names import name_of

BEAM, WIDE, STATE = {"decode": {"name": "beam"}}, {"decode": {"name": "beam", "beam": 9}}, {"confidence": [1.0, 0.5]}


@pytest.fixture
def checkpoint(tmp_path):
    """A checkpoint, with the folder of its results, in which something was learnt with one setting."""
    folder = tmp_path / "a run ü" / "train" / name_of(1)
    write(folder, lambda own: (own / "weights").write_text("one"))
    write_learnt(results(folder), folder, BEAM, STATE)
    return folder


def results(checkpoint):
    folder = checkpoint.parent.parent / "evaluate" / checkpoint.name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_each_setting_has_its_own(checkpoint):
    assert read_learnt(checkpoint, BEAM) == STATE and read_learnt(checkpoint, WIDE) is None
    write_learnt(results(checkpoint), checkpoint, WIDE, {"confidence": [2.0, 0.0]})
    assert read_learnt(checkpoint, BEAM) == STATE and read_learnt(checkpoint, WIDE) == {"confidence": [2.0, 0.0]}


def test_another_checkpoint_of_the_same_name_does_not_take_it(checkpoint):
    (checkpoint / "weights").rename(checkpoint.parent / "old")
    (checkpoint / "manifest.json").unlink()
    checkpoint.rmdir()
    write(checkpoint, lambda own: (own / "weights").write_text("two"))
    assert read_learnt(checkpoint, BEAM) is None
    write_learnt(results(checkpoint), checkpoint, WIDE, STATE)
    assert read_learnt(checkpoint, BEAM) is None and read_learnt(checkpoint, WIDE) == STATE


def test_an_exported_checkpoint_has_it_inside(checkpoint, tmp_path):
    exported = tmp_path / "exported"
    write(exported, lambda own: copy_learnt(checkpoint, own))
    assert read_learnt(exported, BEAM) == STATE
    write(tmp_path / "again", lambda own: copy_learnt(exported, own))
    assert read_learnt(tmp_path / "again", BEAM) == STATE
    (results(checkpoint) / LEARNT).unlink()
    write(tmp_path / "without", lambda own: copy_learnt(checkpoint, own))
    assert not (tmp_path / "without" / LEARNT).exists() and read_learnt(checkpoint, BEAM) is None


@pytest.mark.parametrize("content", ["", "[]", '{"checkpoint": "a"}'])
def test_a_damaged_file_is_named_and_written_again(checkpoint, content, caplog):
    path = results(checkpoint) / LEARNT
    path.write_text(content)
    with caplog.at_level(logging.WARNING):
        assert read_learnt(checkpoint, BEAM) is None
    assert f"{path} is damaged" in caplog.text
    write_learnt(results(checkpoint), checkpoint, BEAM, STATE)
    assert read_learnt(checkpoint, BEAM) == STATE
