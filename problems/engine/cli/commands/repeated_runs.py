"""``run --folds all`` and ``run --seeds 3``: runs of one problem that differ in one key, and their one result."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset.storage.files import write_json, write_text
from problems.engine.config.test_settings import merged
from problems.engine.runtime.errors import ConfigError

log = logging.getLogger(__name__)

FOLDS, SEEDS = "folds", "seeds"


@dataclass(frozen=True)
class Series:
    """Runs of one problem that differ in one key.

    Args:
        kind: folds or seeds: the option, the folder of the runs, and the name of their result.
        title: of the page.
        settings: what differs, as a nested config, by the name of the run.
        same_tests: True if all runs are tested on the same utterances.
    """

    kind: str
    title: str
    settings: Mapping[str, Mapping[str, Any]]
    same_tests: bool


def series_of(problem: Any, config: Mapping[str, Any]) -> Series | None:
    """The runs that a config asks for; None if it is one run.

    Raises:
        ConfigError: the corpus has no folds, or not that many; seeds are wrong; or not all stages are to run.
    """
    asked = [kind for kind in (FOLDS, SEEDS) if config[kind] is not None]
    if not asked:
        return None
    if len(asked) == 2:
        raise ConfigError("folds and seeds each make several runs of one: set one of them")
    (kind,) = asked
    if config["start"] not in (None, 0) or config["stop"] not in (None, 4) or config["nproc"] > 1:
        raise ConfigError(f"{kind} runs all stages of each {kind[:-1]} in one process: leave out start, stop and nproc")
    if kind == SEEDS:
        seeds = _seeds(config["seeds"], config["train"]["seed"])
        return Series(SEEDS, "Soundstage seeds", {str(s): {"train": {"seed": s}} for s in seeds}, same_tests=True)
    settings = {str(number): {"prepare_data": own} for number, own in enumerate(_folds(problem, config))}
    return Series(FOLDS, "Soundstage cross-validation", settings, same_tests=False)


def _seeds(value: Any, first: int) -> list[int]:
    """The seeds that ``seeds`` means: a number of them from ``train.seed`` on, or a list of them."""
    expected = "expected how many, at least 2, or a list of different seeds such as 0,1,2"
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 2:
            raise ConfigError(f"seeds is {value}: {expected}")
        return list(range(first, first + value))
    entries = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    try:
        seeds = [int(str(entry)) for entry in entries]
    except (TypeError, ValueError):
        raise ConfigError(f"seeds is {value!r}: {expected}") from None
    if len(set(seeds)) < max(2, len(seeds)) or min(seeds) < 0:
        raise ConfigError(f"seeds is {value!r}: {expected}")
    return seeds


def _folds(problem: Any, config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The settings of ``prepare_data`` for each fold."""
    corpus = problem.corpus(dict(config["prepare_data"]))
    if corpus is None:
        raise ConfigError(f"folds: {type(problem).__name__} prepares its data itself, so that no folds are known")
    try:
        return corpus.folds_of(None if config["folds"] == "all" else config["folds"])
    except ValueError as error:
        raise ConfigError(f"folds: {error}") from error


def run_series(config: Mapping[str, Any], series: Series, run: Callable[[dict[str, Any]], None]) -> None:
    """Run each in ``<kind>/<name>``, and write and print their one result: ``<kind>/<kind>.json`` and a page.

    Args:
        config: resolved.
        run: runs the stages of a config. Those that are done are not run again.
    """
    from problems.engine.report import repeated

    root, kind = Path(config["target_dir"]), series.kind
    folders = {name: root / kind / name for name in series.settings}
    for number, (name, own) in enumerate(series.settings.items(), 1):
        log.info("== %s %s (%d of %d)", kind.removesuffix("s"), name, number, len(folders))
        run(merged(config, own) | {"target_dir": str(folders[name]), FOLDS: None, SEEDS: None})
    result = repeated.summary(kind, folders, same_tests=series.same_tests)
    write_json(root / kind / f"{kind}.json", result)
    page = root / kind / f"{kind}.html"
    write_text(page, repeated.page_of(kind, series.title, root, result))
    print(repeated.text_of(kind, result))
    log.info("report of all %s: %s", kind, page)
