"""The variance of a reported metric: the part of the training's seed, and that of the test set's utterances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class VarianceParts:
    """Parts of the variance of the metric of one run on one test set, whose sum is the whole.

    seeds: another seed, on test sets so large that each says the same; test_set: other test units, the same for all
    seeds; both: which units a seed gets wrong, which averages out over seeds and over units alike.
    """

    seeds: float
    test_set: float
    both: float

    @property
    def shares(self) -> tuple[float, float, float]:
        """The parts as fractions of the whole; zeros if nothing varies."""
        whole = self.seeds + self.test_set + self.both
        return tuple(part / whole if whole else 0.0 for part in (self.seeds, self.test_set, self.both))


def variance_parts(tops: np.ndarray, bottoms: np.ndarray) -> VarianceParts:
    """Estimate the parts from several runs that were tested on the same units (utterances, or whole speakers).

    The metric of run s is R_s = sum_u(top_su) / sum_u(bottom_su). Its linear form in the units is

        y_su = R_s + (top_su - R_s bottom_su) / mean_u(bottom_su)

    whose mean over u is R_s. Runs and units are random and crossed, with one observation of each pair:
    y_su = m + a_s + b_u + e_su. From the mean squares of the analysis of variance (Searle, Casella and McCulloch,
    "Variance Components", 1992, section 4.7), over S runs and U units, negative estimates being set to 0:

        var(e) = MS_e,   var(a) = (MS_a - MS_e) / U,   var(b) = (MS_b - MS_e) / S

    The variance of one run's metric is then var(a) + var(b) / U + var(e) / U. Bouthillier et al., "Accounting for
    Variance in Machine Learning Benchmarks", 2021, say why both seeds and data are to be counted.

    Args:
        tops, bottoms: (S, U), both at least 2, of units that all runs have.
    """
    runs, units = tops.shape
    if min(runs, units) < 2:
        raise ValueError(f"{runs} runs and {units} units: expected at least 2 of each")
    rates = tops.sum(axis=1, keepdims=True) / bottoms.sum(axis=1, keepdims=True)
    values = rates + (tops - rates * bottoms) / bottoms.mean(axis=1, keepdims=True)
    of_runs, of_units = values.mean(axis=1, keepdims=True), values.mean(axis=0, keepdims=True)
    rest = values - of_runs - of_units + values.mean()
    error = float((rest**2).sum()) / ((runs - 1) * (units - 1))
    between_runs = units * float(of_runs.var(ddof=1))
    between_units = runs * float(of_units.var(ddof=1))
    return VarianceParts(
        seeds=max(0.0, (between_runs - error) / units),
        test_set=max(0.0, (between_units - error) / runs) / units,
        both=error / units,
    )
