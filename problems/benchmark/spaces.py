"""The values that a sweep tries: lists of them, and ranges of which optuna suggests some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from problems.engine.runtime.errors import ConfigError


@dataclass(frozen=True)
class Space:
    """The values of one key.

    Args:
        key: dotted.
        values: to choose from; empty for a range.
        low, high: the ends of a range; whole numbers if both are.
        log: True if the range is even on a logarithmic scale.
    """

    key: str
    values: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False

    def every_value(self) -> Sequence[Any]:
        """All values.

        Raises:
            ConfigError: it is a range.
        """
        if not self.values:
            raise ConfigError(f"--over.{self.key} is a range: say how many values to try, as --trials 20")
        return self.values

    def examples(self) -> Sequence[Any]:
        """Values by which the key can be checked."""
        return self.values or (self.low, self.high)


def space_of(key: str, spec: Any) -> Space:
    """The space that a value of ``--over.KEY`` describes.

    Raises:
        ConfigError: it is neither a list nor a range.
    """
    if isinstance(spec, list) and spec:
        return Space(key, tuple(spec))
    if isinstance(spec, Mapping) and {"low", "high"} <= set(spec) <= {"low", "high", "log"}:
        low, high, log = spec["low"], spec["high"], spec.get("log", False)
        numbers = all(isinstance(end, (int, float)) and not isinstance(end, bool) for end in (low, high))
        if numbers and low < high and isinstance(log, bool) and not (log and low <= 0):
            return Space(key, low=low, high=high, log=log)
    raise ConfigError(
        f"--over.{key} is {spec!r}: expected a list, as '[0.001, 0.0001]', or a range, as"
        " '{low: 1e-5, high: 0.1, log: true}' (above 0 if log is true)"
    )


class Suggestions:
    """Values that optuna's TPE sampler suggests: a function of the results so far, so that a search can be continued.

    Bergstra et al., "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011.
    """

    def __init__(self, spaces: Sequence[Space]):
        try:
            import optuna
        except ModuleNotFoundError as error:
            raise ConfigError("--trials needs optuna: pip install 'soundstage[sweep]'") from error
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.optuna, self.spaces = optuna, spaces
        # with constant_liar, what is suggested together differs
        self.study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0, constant_liar=True))
        self.asked: list[Any] = []

    def ask(self, count: int) -> list[dict[str, Any]]:
        """The values of so many trials."""
        self.asked = [self.study.ask() for _ in range(count)]
        return [{space.key: self._suggest(trial, space) for space in self.spaces} for trial in self.asked]

    def _suggest(self, trial: Any, space: Space) -> Any:
        if space.values:
            return space.values[trial.suggest_categorical(space.key, list(range(len(space.values))))]
        if isinstance(space.low, int) and isinstance(space.high, int):
            return trial.suggest_int(space.key, space.low, space.high, log=space.log)
        return trial.suggest_float(space.key, space.low, space.high, log=space.log)

    def tell(self, results: Sequence[tuple[float, bool] | None]) -> None:
        """Take the validations of the trials that were asked for: (value, more is better), or None of one without."""
        for trial, result in zip(self.asked, results):
            if result is None:
                self.study.tell(trial, state=self.optuna.trial.TrialState.FAIL)
            else:
                value, higher = result
                self.study.tell(trial, -value if higher else value)
