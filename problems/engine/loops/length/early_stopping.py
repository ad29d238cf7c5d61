"""Early stopping: end a training once validations no longer improve the primary metric."""

from __future__ import annotations

import dataclasses
import logging
import math

from problems.engine.loops.state.progress import Progress

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class EarlyStopping:
    """Ends a training after ``patience`` validations in a row without a better value.

    Args:
        metric: the primary metric.
        higher_better: True if more of it is better.
        patience: None never ends the training.
        threshold: a value must be better by more than this.
        is_relative: True if ``threshold`` is a fraction of the best value, rather than in the metric's unit.
    """

    metric: str
    higher_better: bool = False
    patience: int | None = None
    threshold: float = 0.0
    is_relative: bool = False

    def is_over(self, progress: Progress) -> bool:
        """Return True if the patience is used up."""
        return self.patience is not None and progress.waited >= self.patience

    def observe(self, progress: Progress, value: float) -> None:
        """Take the metric of a validation into ``progress``."""
        if self._is_better(value, progress.best):
            progress.best, progress.waited = value, 0
        else:
            progress.waited += 1
        if self.is_over(progress):
            progress.ended = True
            log.info(
                "training ends at step %d: %s has not improved for %d validations",
                progress.step,
                self.metric,
                progress.waited,
            )

    def _is_better(self, value: float, best: float | None) -> bool:
        if best is None or not math.isfinite(best):
            return not math.isnan(value) and value != best
        gain = (value - best) * (1 if self.higher_better else -1)
        return gain > self.threshold * (abs(best) if self.is_relative else 1)
