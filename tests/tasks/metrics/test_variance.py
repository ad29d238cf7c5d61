"""The parts of a metric's variance are those that the data were drawn with."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.metrics.variance import VarianceParts, variance_parts


def drawn(random, runs, units, *, seeds, test_set, both):
    """Errors with these variances, of words that each unit has one of."""
    effects = (seeds * random.standard_normal((runs, 1)), test_set * random.standard_normal((1, units)))
    return 5 + sum(effects) + both * random.standard_normal((runs, units))


@pytest.mark.parametrize(
    ("seeds", "test_set", "both"), [(0.3, 2.0, 1.0), (0.0, 2.0, 1.0), (0.5, 0.0, 0.5), (0.2, 3.0, 0.0)]
)
def test_the_estimates_are_right_on_average(seeds, test_set, both):
    random, units = np.random.default_rng(0), 50
    values = [
        variance_parts(drawn(random, 5, units, seeds=seeds, test_set=test_set, both=both), np.ones((5, units)))
        for _ in range(800)
    ]
    means = [np.mean([getattr(own, name) for own in values]) for name in ("seeds", "test_set", "both")]
    # negative estimates are set to zero, so that a part of nothing is a little above it
    assert means[0] == pytest.approx(seeds**2, rel=0.12, abs=0.006)
    assert means[1] == pytest.approx(test_set**2 / units, rel=0.12, abs=0.006)
    assert means[2] == pytest.approx(both**2 / units, rel=0.12, abs=1e-9)


def test_equal_runs_vary_by_the_test_set_alone_as_the_bootstrap_says():
    random = np.random.default_rng(1)
    bottom = random.integers(3, 12, 400).astype(float)
    top = random.binomial(bottom.astype(int), 0.2).astype(float)
    parts = variance_parts(np.stack([top, top, top]), np.stack([bottom] * 3))
    assert (parts.seeds, parts.both) == pytest.approx((0, 0), abs=1e-12)
    counts = random.multinomial(400, np.full(400, 1 / 400), size=4000)
    assert parts.test_set == pytest.approx(np.var(counts @ top / (counts @ bottom)), rel=0.08)
    assert parts.shares == pytest.approx((0, 1, 0))


def test_nothing_varies_and_too_little_to_say():
    ones = np.ones((2, 3))
    assert variance_parts(ones, ones) == VarianceParts(0, 0, 0) and variance_parts(ones, ones).shares == (0, 0, 0)
    with pytest.raises(ValueError, match="1 runs and 3 units: expected at least 2"):
        variance_parts(ones[:1], ones[:1])
