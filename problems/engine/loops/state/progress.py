"""The position of a training as plain numbers, saved in every checkpoint."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence


@dataclasses.dataclass
class Progress:
    """The position of a training, and what it has counted so far."""

    step: int = 0
    epoch: int = 0
    position: int = 0  # batches of the epoch that are done, by all processes
    batches: int = 1  # batches in the epoch
    validated: int = -1  # step of the last validation
    saved: int = -1  # step of the last checkpoint
    best: float | None = None  # best value of the primary metric, for early stopping
    waited: int = 0  # validations since then
    ended: bool = False  # True after early stopping
    nonfinite: int = 0  # skipped steps
    nonfinite_in_a_row: int = 0
    out_of_memory: int = 0  # failed batches
    errors: int = 0  # batches that failed for another reason
    lost_in_a_row: int = 0  # steps in a row without a batch left
    loss_sum: float = 0.0  # since the last line of the history
    weight_sum: float = 0.0
    named_sums: dict[str, list[float]] = dataclasses.field(default_factory=dict)  # of other values, and their units
    epoch_loss_sum: float = 0.0  # since the epoch began
    epoch_weight_sum: float = 0.0
    seconds: float = 0.0  # used of a budget, up to the last checkpoint

    @property
    def epochs(self) -> float:
        """Epochs done, with the fraction of the one under way."""
        return self.epoch + self.position / self.batches

    def is_at(self, steps: int | None, epochs: int | None, since: int | None = None) -> bool:
        """Return True at each multiple of ``steps`` and at the end of each multiple of ``epochs``; None: never.

        Args:
            since: a step to count ``steps`` from, rather than multiples; -1 is the beginning.
        """
        at_step = steps is not None and self.step % steps == 0
        if steps is not None and since is not None:
            at_step = self.step - max(0, since) >= steps
        at_epoch = epochs is not None and self.position == 0 and self.epoch % epochs == 0
        return at_step or at_epoch

    def add_loss(self, loss: float, units: float) -> None:
        """Add the summed loss of ``units`` units."""
        self.loss_sum, self.weight_sum = self.loss_sum + loss, self.weight_sum + units
        self.epoch_loss_sum, self.epoch_weight_sum = self.epoch_loss_sum + loss, self.epoch_weight_sum + units

    def take_loss(self) -> tuple[float, float]:
        """Return and reset the summed loss and units since the last line of the history."""
        sums = self.loss_sum, self.weight_sum
        self.loss_sum = self.weight_sum = 0.0
        return sums

    def add_named(self, sums: Mapping[str, Sequence[float]]) -> None:
        """Add the sum and the units of each name."""
        for name, own in sums.items():
            before = self.named_sums.get(name, (0.0, 0.0))
            self.named_sums[name] = [a + b for a, b in zip(before, own)]

    def take_named(self) -> dict[str, float]:
        """Return and reset the mean of each name since the last line of the history."""
        means = {name: value / units for name, (value, units) in self.named_sums.items() if units}
        self.named_sums = {}
        return means

    def reset_epoch_loss(self) -> None:
        """Begin the sums of a new epoch."""
        self.epoch_loss_sum = self.epoch_weight_sum = 0.0
