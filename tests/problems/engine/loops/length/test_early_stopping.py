"""Early stopping: which values count as better, and when training ends."""

from __future__ import annotations

import pytest

from problems.engine.checkpoints.store import steps_in
from problems.engine.loops.length.early_stopping import EarlyStopping
from problems.engine.loops.state.progress import Progress
from tests.parts.least_squares import loop_of


@pytest.mark.parametrize(
    ("values", "higher", "threshold", "relative", "waited"),
    [
        ([1.0, 0.95, 0.8], False, 0.1, False, 0),
        ([1.0, 0.95, 0.92], False, 0.1, False, 2),
        ([100.0, 95.0, 94.0], False, 0.1, True, 2),
        ([100.0, 89.0], False, 0.1, True, 0),
        ([-3.0, -2.5], True, 0.1, True, 0),  # better, though negative
        ([float("nan"), 5.0], False, 0.0, False, 0),
        ([float("inf"), 3.0, 2.0], False, 0.1, True, 0),
        ([5.0, float("nan")], False, 0.0, False, 1),
    ],
)
def test_what_counts_as_better(values, higher, threshold, relative, waited):
    progress, early_stopping = Progress(), EarlyStopping("wer", higher, None, threshold, relative)
    for value in values:
        early_stopping.observe(progress, value)
    assert progress.waited == waited


def test_early_stopping_counts_validations_without_a_better_value(tmp_path):
    values = iter([0.9, 0.5, 0.49, 0.48, 0.47, 0.1])
    loop = loop_of(
        tmp_path, validate=lambda: {"loss": next(values)}, total_steps=60, eval_step=2, patience=2, threshold=0.05
    )
    loop.fit()
    assert loop.progress.step == 8  # 0.49 and 0.48 are not better than 0.5 by more than 0.05
    assert steps_in(tmp_path)[-1].name == "step_00000008"
