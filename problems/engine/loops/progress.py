"""Where a training stands, as plain numbers that are saved and read back as they are."""

from __future__ import annotations

import dataclasses
import math


@dataclasses.dataclass
class Progress:
    """Where a training stands."""

    step: int = 0
    epoch: int = 0
    position: int = 0  # batches of the epoch that are behind, of all processes
    batches: int = 1  # batches of the epoch
    validated: int = -1  # the step of the last validation
    saved: int = -1  # the step of the last checkpoint
    best: float | None = None  # by the primary metric, for early stopping
    waited: int = 0  # validations since it was reached
    ended: bool = False  # early stopping said so
    nonfinite: int = 0  # steps skipped in all
    nonfinite_in_a_row: int = 0
    out_of_memory: int = 0  # batches lost in all
    errors: int = 0  # batches lost in all, to other errors
    lost_in_a_row: int = 0  # steps that came to nothing, up to now
    loss_sum: float = 0.0  # since the last line of the history ...
    weight_sum: float = 0.0
    epoch_loss_sum: float = 0.0  # ... and since the epoch began
    epoch_weight_sum: float = 0.0

    @property
    def epochs(self) -> float:
        """Epochs behind, with the part of the one under way."""
        return self.epoch + self.position / self.batches

    def validate(self, value: float, higher_better: bool, threshold: float, relative: bool) -> None:
        """Take the primary metric of a validation: the best so far, or one more without gain.

        Args:
            threshold: how much better counts as better, in the metric's unit, or as a part of the best so far.
        """
        if self.best is None or not math.isfinite(self.best):
            better = value == value and value != self.best
        else:
            gain = (value - self.best) * (1 if higher_better else -1)
            better = gain > threshold * (abs(self.best) if relative else 1)
        self.best, self.waited = (value, 0) if better else (self.best, self.waited + 1)
