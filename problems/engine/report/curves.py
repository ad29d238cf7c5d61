"""Choose the plots of a run: losses, validation metrics, the learning rate."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections.abc import Iterable

from problems.engine.report.charts.plot import MUTED, RUNS, TRAIN, VALID, Plot, Series
from problems.engine.report.history import MEMORY, STEP_PARTS, TIMES, of_all_sets
from problems.engine.report.read import Run
from tasks.metrics.kinds import UNDECLARED, Count

LOSS, LEARNING_RATE = "loss", "lr"  # columns that the train loop itself writes
COUNTS = ("nonfinite", "out_of_memory", "errors")  # and these
NAMES = {"train": "training", "valid": "validation"}
WIDE = 20  # a loss that falls by more than this factor is drawn on a log scale
SPARSE = 60  # a validation curve of at most this many points has markers


def curves(run: Run) -> list[Plot]:
    """The loss of training and validation, every validation metric that is not a count, and the learning rate."""
    loss_curves = _series(run, "train", LOSS) + _series(run, "valid", LOSS)
    plots = [_loss_plot(run, loss_curves)] if loss_curves else []
    if loss_by_set := _by_set(run, "train", LOSS):
        plots.append(Plot("loss_by_set.png", "training loss by set", UNDECLARED, loss_by_set, log=is_wide(loss_by_set)))
    files: set[str] = set()
    logged = run.logged_metrics("valid")
    for metric in logged:
        declaration, validation_curve = run.declarations.get(metric, UNDECLARED), _series(run, "valid", metric)
        is_of_set = metric != of_all_sets(metric) in logged  # drawn with those of all sets
        if metric == LOSS or isinstance(declaration, Count) or is_of_set or not validation_curve:
            continue
        training_curve = _series(run, "train", metric)
        title = f"{'' if training_curve else 'validation '}{declaration.heading(metric)}"
        validation_curve += _by_set(run, "valid", metric)
        file = _file_name(metric, files)
        plots.append(Plot(file, title, declaration, training_curve + validation_curve, best=_best(run, metric)))
    plots += _of_training_alone(run, files)
    plots += _learning_curves(run)
    rates = _learning_rates(run)
    plots += [Plot("learning_rate.png", "learning rate", UNDECLARED, rates)] if rates else []
    return plots + _step_plots(run)


def _of_training_alone(run: Run, files: set[str]) -> list[Plot]:
    """The values that a task tells of its training batches by name, such as further losses."""
    own, valid = {LOSS, "grad_norm", *COUNTS, *TIMES}, run.logged_metrics("valid")
    plots = []
    for name in run.logged_metrics("train"):
        curve = _series(run, "train", name)
        is_drawn = name in own or name in valid or of_all_sets(name) == LOSS
        if not is_drawn and re.split("[_/]", name)[0] != LEARNING_RATE and curve:
            declaration = run.declarations.get(name, UNDECLARED)
            title = f"training {declaration.heading(name)}"
            plots.append(Plot(_file_name(name, files, "train_"), title, declaration, curve))
    return plots


def _step_plots(run: Run) -> list[Plot]:
    """The time of a step by its parts, and the memory."""
    parts = []
    for name, colour in zip(STEP_PARTS, RUNS):
        if points := run.points("train", f"{name}_ms"):
            steps, values = map(list, zip(*points))
            parts.append(Series("waiting for data" if name == "data" else name, steps, values, colour))
    plots = [Plot("step_time.png", "time of a step (ms)", UNDECLARED, parts)] if parts else []
    memory = _series(run, "train", MEMORY)
    return plots + ([Plot("memory.png", "peak memory (GB)", UNDECLARED, memory)] if memory else [])


def _loss_plot(run: Run, loss_curves: list[Series]) -> Plot:
    log = is_wide(loss_curves)
    title = "loss (log scale)" if log else "loss"
    declaration = run.declarations.get(LOSS, UNDECLARED)
    return Plot("loss.png", title, declaration, loss_curves, log=log, best=_best(run, LOSS))


def is_wide(curves: Iterable[Series]) -> bool:
    """True for losses that need a log scale."""
    values = [value for series in curves for value in series.values if math.isfinite(value)]
    return bool(values) and min(values) > 0 and max(values) > WIDE * min(values)


def _series(run: Run, split: str, metric: str) -> list[Series]:
    """The curve of a metric, or nothing if it was never logged."""
    points = run.points(split, metric)
    if not points:
        return []
    steps, values = map(list, zip(*points))
    is_training = split == "train"
    colour = TRAIN if is_training else VALID
    return [Series(NAMES[split], steps, values, colour, sparse=not is_training and len(points) <= SPARSE)]


def _by_set(run: Run, split: str, metric: str) -> list[Series]:
    """The curve of a metric of each of several sets."""
    names = [name for name in run.logged_metrics(split) if name != metric and of_all_sets(name) == metric]
    curves = []
    for name, colour in zip(names, itertools.cycle(RUNS[2:])):
        for series in _series(run, split, name):
            curves.append(dataclasses.replace(series, name=name.removeprefix(f"{metric}/"), colour=colour))
    return curves


def _learning_curves(run: Run) -> list[Plot]:
    """For each test set, the metric on growing parts of the training set, beside those of trivial models."""
    curve, plots = run.learning_curve, []
    if not curve:
        return []
    metric, points = curve["metric"], curve["points"]
    declaration = run.declarations.get(metric, UNDECLARED)
    for test_set in points[-1]["results"]:
        numbers = [point["utterances"] for point in points]
        series = [Series("model", numbers, [p["results"].get(test_set, math.nan) for p in points], TRAIN, sparse=True)]
        for model, colour in zip(points[-1]["baselines"].get(test_set, {}), itertools.cycle((MUTED, VALID))):
            values = [point["baselines"].get(test_set, {}).get(model, math.nan) for point in points]
            series.append(Series(model, numbers, values, colour, sparse=True))
        title = f"{declaration.heading(metric)} on {test_set} by amount of training data"
        file = "learning_curve_" + re.sub(r"[^A-Za-z0-9_.-]", "_", test_set) + ".png"
        plots.append(Plot(file, title, declaration, series, x_label="training utterances"))
    return plots


def _learning_rates(run: Run) -> list[Series]:
    """A curve for ``lr``, or for each ``lr_<name>`` of several optimizers and ``lr/<number>`` of parameter groups."""
    names = [name for name in run.logged_metrics("train") if re.split("[_/]", name)[0] == LEARNING_RATE]
    rates = []
    for name, colour in zip(names, itertools.cycle((TRAIN, VALID, MUTED))):
        if points := run.points("train", name):
            steps, values = map(list, zip(*points))
            rates.append(Series(re.sub(f"^{LEARNING_RATE}[_/]", "", name), steps, values, colour))
    return rates


def _best(run: Run, metric: str) -> tuple[float, float] | None:
    """The best validation point of a metric, of all sets or of one, that a rule follows."""
    rule = next((rule for rule in run.rules if metric in (rule.metric, of_all_sets(rule.metric))), None)
    return run.best_point(rule) if rule else None


def _file_name(metric: str, files: set[str], prefix: str = "valid_") -> str:
    """A file name for the plot of a metric that none of ``files`` has; it is added to them."""
    stem = prefix + re.sub(r"[^A-Za-z0-9_.-]", "_", metric)
    while stem in files:
        stem += "_"
    files.add(stem)
    return stem + ".png"
