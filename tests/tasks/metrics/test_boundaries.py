"""Boundaries: each is counted once, and a worked example."""

from __future__ import annotations

import pytest

from tasks.metrics.boundaries import boundary_errors, within


def test_a_boundary_that_two_phones_share_counts_once_and_one_before_a_pause_for_itself():
    reference = [(0.1, 0.2, "a"), (0.2, 0.4, "b"), (0.5, 0.6, "a")]
    aligned = [(0.11, 0.22, "a"), (0.22, 0.45, "b"), (0.5, 0.7, "a")]
    errors = boundary_errors(reference, aligned)
    # the beginnings of the second and the third phone, and the end before the pause
    assert errors == pytest.approx([0.02, 0.0, 0.05])
    assert [within(errors, tolerance) for tolerance in (10, 20, 50)] == [1, 2, 3]


def test_the_ends_of_an_utterance_are_no_boundaries():
    reference = [(0, 0.5, "h#"), (0.5, 0.6, "a"), (0.6, 1, "h#")]
    assert boundary_errors(reference, [(0, 0.4, "h#"), (0.4, 0.6, "a"), (0.6, 1, "h#")]) == pytest.approx([0.1, 0])
    assert len(boundary_errors([(0, 1, "a")], [(0.5, 0.7, "a")])) == len(boundary_errors([], [])) == 0


def test_other_phones_are_refused():
    with pytest.raises(ValueError, match="expected the 1 phones of the reference, got 0 or others"):
        boundary_errors([(0, 1, "a")], [])
