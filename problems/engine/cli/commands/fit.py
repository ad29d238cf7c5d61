"""``fit``: the largest batches that fit into memory, found by training a few steps on the largest ones of each size."""

from __future__ import annotations

import dataclasses
import logging
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from problems.engine.cli.arguments import Arguments, number_of, resolve_config
from problems.engine.cli.console import spin_briefly, start_logging
from problems.engine.runtime.errors import ConfigError, SoundstageError

if TYPE_CHECKING:
    from problems.engine.stages.memory_trial import MemoryTrials

log = logging.getLogger(__name__)

OPTIONS = ("limit_gb", "margin")
CLOSE = 1.1
"""The search ends if what does not fit is larger than what fits by this factor at most."""
SECTION = "build_batch_sampler.train"


def fit(problem: Any, arguments: Arguments) -> int:
    """Prepare the data and the encoder if they are not done and fresh, search, and print what was tried."""
    spin_briefly()
    own = {key: value for key, value in arguments.overrides if key in OPTIONS}
    overrides = [(key, value) for key, value in arguments.overrides if key not in OPTIONS]
    margin = number_of("margin", own.get("margin", "0.1"), 0, 0.9)
    limit = number_of("limit_gb", own["limit_gb"], 0.01) if "limit_gb" in own else None
    config = resolve_config(problem, arguments.configs, overrides, recorded=True)
    if config["build_batch_sampler"]["train"].get("sets") is not None:
        raise ConfigError(f"{SECTION}.sets is set, and fit searches for one size: set {SECTION}.sets to null for it")
    from problems.engine.stages.memory_trial import MemoryTrials
    from problems.engine.stages.pipeline import Pipeline

    # on the CPU: a process that has used a GPU cannot be forked
    pipeline = Pipeline(problem, {**config, "start": None, "stop": 1, "fresh": False, "device": "cpu"})
    start_logging(pipeline.root)
    log.info("$ %s", " ".join(sys.argv), extra={"quiet": True})
    if any(pipeline.freshness.reasons(stage) for stage in pipeline.stages[:2]):
        pipeline.run()
    trials = MemoryTrials(problem, {**config, "num_workers": 0}, pipeline.folder, pipeline.manifest)
    search = Search(trials, round(1e9 * limit) if limit else _free(config), margin)
    value = search.run()
    print(f"\nthe largest that fits into {search.allowed / 1e9:.1f} GB:\n  --{SECTION}.{search.key} {value}")
    return 0


def _free(config: dict[str, Any]) -> int:
    """Bytes that are free for each process."""
    from problems.engine.runtime.memory import free_memory

    free = free_memory(config["device"])
    is_shared = config["nproc"] > 1 and not config["device"].startswith("cuda")
    return free // config["nproc"] if is_shared else free


@dataclasses.dataclass
class Search:
    """The search for the largest value of a key of the sampler.

    Args:
        trials: measures batches.
        limit: bytes that a training may take.
        margin: part of them to leave free.
    """

    trials: MemoryTrials
    limit: int
    margin: float

    def __post_init__(self) -> None:
        section = self.trials.config["build_batch_sampler"]["train"]
        self.key = "batch_size" if section["max_seconds"] is None else "max_seconds"
        self.first = max(1, round(section[self.key]))
        self.allowed = round(self.limit * (1 - self.margin))

    def run(self) -> int:
        """Return the largest value that fits.

        Raises:
            SoundstageError: none fits.
        """
        print(f"{self.key:>11}  {'heaviest batch':<24}{'s/step':>8}{'audio s/s':>11}{'GB':>8}", flush=True)
        value = largest(self.first, self._fits, self._grows)
        if value is None:
            raise SoundstageError(
                f"not even the smallest batches fit into {self.allowed / 1e9:.2f} GB: leave out the longest utterances,"
                " take a smaller model, or let build_model.finetune.activation_checkpointing recompute activations"
            )
        return value

    def _grows(self, smaller: int, larger: int) -> bool:
        return self.trials.size(self.key, larger).padded > self.trials.size(self.key, smaller).padded

    def _fits(self, value: int) -> bool:
        size = self.trials.size(self.key, value)
        trial = self.trials.measure(size, self.limit)
        batch = f"{size.utterances} x {size.longest:.1f} s = {size.padded:.0f} s"
        if trial.is_out_of_memory:
            print(f"{value:>11}  {batch:<24}{'':>19}{'':>8}  out of memory", flush=True)
            return False
        speed = size.padded / max(trial.seconds, 1e-9)
        fits = trial.peak <= self.allowed
        verdict = "fits" if fits else "too much"
        print(
            f"{value:>11}  {batch:<24}{trial.seconds:>8.3f}{speed:>11.0f}{trial.peak / 1e9:>8.2f}  {verdict}",
            flush=True,
        )
        return fits


def largest(first: int, fits: Callable[[int], bool], grows: Callable[[int, int], bool]) -> int | None:
    """Return about the largest number that ``fits``, searched by doubling and halving from ``first`` on.

    Args:
        grows: from two numbers to True if the second asks for more than the first.

    Returns:
        None if not even 1 fits, or the smallest that asks for less.
    """
    low = high = None
    value = first
    while True:
        if fits(value):
            low = value
        else:
            high = value
        if low is None:
            value = high // 2
            if not value or not grows(value, high):
                return None
        elif high is None:
            value = 2 * low
            if not grows(low, value):
                return low
        elif high <= CLOSE * low or high - low == 1:
            return low
        else:
            value = (low + high) // 2
