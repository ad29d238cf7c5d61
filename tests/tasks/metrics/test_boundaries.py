"""Boundaries: each is counted once, and a worked example."""

from __future__ import annotations

import pytest

from tasks.metrics.boundaries import boundary_errors, within


def test_a_boundary_that_two_phones_share_counts_once_and_one_before_a_pause_for_itself():
    reference = [(0.1, 0.2, "a"), (0.2, 0.4, "b"), (0.5, 0.6, "a")]
    aligned = [(0.11, 0.22, "a"), (0.22, 0.45, "b"), (0.5, 0.7, "a")]
    errors = boundary_errors(reference, aligned)
    # the beginnings of the three phones, the end before the pause, and the last one
    assert errors == pytest.approx([0.01, 0.02, 0.0, 0.05, 0.1])
    assert [within(errors, tolerance) for tolerance in (10, 20, 50)] == [2, 3, 4]
    assert len(boundary_errors([], [])) == 0


def test_other_phones_are_refused():
    with pytest.raises(ValueError, match="expected the 1 phones of the reference, got 0 or others"):
        boundary_errors([(0, 1, "a")], [])
