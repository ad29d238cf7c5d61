"""Errors and correlations of predicted numbers, of utterances and of the systems that made them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from tasks.metrics.correlation import CORRELATIONS


def errors(references: Sequence[float], hypotheses: Sequence[float]) -> dict[str, float]:
    """Mean squared and mean absolute error, whatever the order of the pairs."""
    gaps = [hypothesis - reference for reference, hypothesis in zip(references, hypotheses)]
    squared, absolute = (math.fsum(values) / len(gaps) for values in ([gap * gap for gap in gaps], map(abs, gaps)))
    return {"mse": squared, "mae": absolute}


def correlations(references: Sequence[float], hypotheses: Sequence[float]) -> dict[str, float]:
    """Pearson, Spearman and Kendall, whatever the order of the pairs; 0 if a side is constant."""
    x, y = np.array(sorted(zip(references, hypotheses)), dtype=np.float64).T
    return {name: float(measure(np.ones((1, len(x))), x, y)[0]) for name, measure in CORRELATIONS.items()}


def of_systems(
    systems: Sequence[str], references: Sequence[float], hypotheses: Sequence[float]
) -> tuple[list[float], list[float]]:
    """The mean reference and the mean hypothesis of each system, in alphabetical order of the systems."""
    members: dict[str, list[int]] = {}
    for place, system in enumerate(systems):
        members.setdefault(system, []).append(place)
    means = []
    for column in (references, hypotheses):
        means.append([math.fsum(column[i] for i in members[name]) / len(members[name]) for name in sorted(members)])
    return means[0], means[1]


def all_metrics(
    references: Sequence[float], hypotheses: Sequence[float], systems: Sequence[str] | None = None
) -> dict[str, float]:
    """Errors and correlations of the utterances, and under ``system_*`` of the means of the systems.

    Huang et al., "The VoiceMOS Challenge 2022", Interspeech 2022.
    """
    metrics = errors(references, hypotheses) | correlations(references, hypotheses)
    if systems is not None:
        means = of_systems(systems, references, hypotheses)
        metrics |= {f"system_{name}": value for name, value in (errors(*means) | correlations(*means)).items()}
    return metrics


def constant_columns(references: Iterable[float], hypotheses: Iterable[float]) -> list[str]:
    """The columns that are constant, so that their correlations are 0 by definition: a phrase for each."""
    columns = {"reference": sorted(references), "prediction": sorted(hypotheses)}
    return [f"every {name} is {own[0]:g}" for name, own in columns.items() if own[0] == own[-1]]


def resampled_systems(
    weights: np.ndarray, systems: Sequence[str], references: np.ndarray, hypotheses: np.ndarray
) -> dict[str, np.ndarray]:
    """The metrics of the systems over many weightings of their utterances (R, N); a system that is drawn counts once.

    Returns:
        (R,) by metric.
    """
    codes = np.unique(np.asarray(systems, dtype=object), return_inverse=True)[1].reshape(-1)
    members = np.zeros((len(codes), codes.max() + 1))
    members[np.arange(len(codes)), codes] = 1.0
    sizes = weights @ members
    x, y = ((weights * column) @ members / np.maximum(sizes, 1.0) for column in (references, hypotheses))
    drawn = (sizes > 0).astype(np.float64)
    number = np.maximum(drawn.sum(axis=1), 1.0)
    values = {"mse": (drawn * (y - x) ** 2).sum(axis=1) / number, "mae": (drawn * np.abs(y - x)).sum(axis=1) / number}
    for name, measure in CORRELATIONS.items():
        rows = zip(drawn, x, y)  # the means differ between draws, so that each has its own order
        values[name] = np.array([measure(own[None], means, others)[0] for own, means, others in rows])
    return {f"system_{name}": value for name, value in values.items()}
