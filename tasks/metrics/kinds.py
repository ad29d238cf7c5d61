"""The kinds of metric that a task may declare: rate, count, number. Each formats its own values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class Metric:
    """The declaration of a metric.

    Args:
        better: "lower" or "higher"; None if neither is better.
        unit: what the value is counted in, such as "bits".
        label: the name for people, such as "WER"; by default the metric's own name.
        of: the columns of the records whose sums are divided, such as ("word_errors", "word_reference_length"); with
            None in the second place, the mean of the first. Intervals, groups and comparisons follow from it.
    """

    kind: ClassVar[str]
    better: str | None = None
    unit: str = ""
    label: str = ""
    of: tuple[str, str | None] | None = None

    def __post_init__(self) -> None:
        if self.better not in (None, "lower", "higher"):
            raise ValueError(f"better is {self.better!r}: expected 'lower', 'higher' or None")

    def heading(self, name: str) -> str:
        """The name of the metric ``name`` for people, with its unit."""
        label = self.label or name.replace("_", " ")
        return f"{label} ({self.unit})" if self.unit else f"{label}"

    def format(self, value: float | None) -> str:
        """A value for people; None stands for one that is not finite."""
        if value is None or math.isnan(value):
            return "–"
        if math.isinf(value):
            return "∞" if value > 0 else "-∞"
        return self._format(value)

    def format_interval(self, bounds: Sequence[float | None]) -> str:
        """An interval for people, such as "6.9–8.1%"."""
        low, high = (self.format(bound) for bound in bounds)
        unit = "%" if low.endswith("%") and high.endswith("%") else ""
        dash = " to " if "-" in (low[:1], high[:1]) else "–"
        return f"{low.removesuffix('%') if unit else low}{dash}{high}"

    def _format(self, value: float) -> str:
        whole = float(value).is_integer() and abs(value) < 1e12
        return f"{int(value):,}" if whole else f"{value:.4g}"


@dataclass(frozen=True)
class Rate(Metric):
    """A fraction, shown in percent."""

    kind = "rate"

    def _format(self, value: float) -> str:
        return f"{100 * value:.2f}%"


@dataclass(frozen=True)
class Count(Metric):
    """A number of things, such as words. Curves and log lines leave it out."""

    kind = "count"


@dataclass(frozen=True)
class Number(Metric):
    """Any other value; also what an undeclared metric is taken for."""

    kind = "number"


KINDS: dict[str, type[Metric]] = {cls.kind: cls for cls in (Rate, Count, Number)}
UNDECLARED = Number()


def to_json(metrics: Mapping[str, Metric]) -> dict[str, dict[str, Any]]:
    """Declarations as JSON objects: ``kind``, and of ``better``, ``unit``, ``label`` and ``of`` those that are set.

    Raises:
        TypeError: a declaration is not a Rate, Count or Number.
    """
    wrong = [name for name, metric in metrics.items() if not isinstance(metric, Metric)]
    if wrong:
        raise TypeError(
            f"metric {wrong[0]!r} is declared as {metrics[wrong[0]]!r}: expected Rate(), Count() or Number()"
        )
    return {
        name: {"kind": metric.kind} | {key: value for key, value in asdict(metric).items() if value}
        for name, metric in metrics.items()
    }


def from_json(declarations: Any) -> dict[str, Metric]:
    """The declarations that :func:`to_json` wrote; any that cannot be read are left out."""
    metrics = {}
    for name, settings in declarations.items() if isinstance(declarations, dict) else ():
        try:
            settings = {key: tuple(value) if key == "of" else value for key, value in settings.items()}
            metrics[name] = KINDS[settings.pop("kind")](**settings)
        except (AttributeError, KeyError, TypeError, ValueError):
            continue
    return metrics
