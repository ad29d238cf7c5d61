"""The position of a training: when it is a multiple of steps or epochs, and the sums of its loss."""

from __future__ import annotations

import pytest

from problems.engine.loops.state.progress import Progress


def test_epochs_are_counted_with_their_parts():
    assert Progress(epoch=2, position=1, batches=4).epochs == 2.25


@pytest.mark.parametrize(
    ("steps", "epochs", "expected"),
    [(3, None, True), (4, None, False), (None, 2, True), (None, 4, False), (4, 2, True), (None, None, False)],
)
def test_it_is_at_multiples_of_steps_and_of_epochs(steps, epochs, expected):
    assert Progress(step=6, epoch=2).is_at(steps, epochs) == expected


def test_an_epoch_ends_only_when_all_its_batches_are_done():
    assert not Progress(step=6, epoch=2, position=1, batches=4).is_at(None, 2)


def test_each_loss_counts_for_the_line_and_for_the_epoch():
    progress = Progress()
    progress.add_loss(6.0, 2.0)
    assert progress.take_loss() == (6.0, 2.0)
    progress.add_loss(3.0, 1.0)
    assert progress.take_loss() == (3.0, 1.0) and progress.take_loss() == (0.0, 0.0)
    assert (progress.epoch_loss_sum, progress.epoch_weight_sum) == (9.0, 3.0)
    progress.add_loss(1.0, 1.0)
    progress.reset_epoch_loss()
    assert (progress.epoch_loss_sum, progress.epoch_weight_sum) == (0.0, 0.0)
    assert progress.take_loss() == (1.0, 1.0), "a new epoch does not end the line"
