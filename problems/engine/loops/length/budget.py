"""Budget: plan the length of a training over its measured speed, so that a run ends in time."""

from __future__ import annotations

import dataclasses
import time

from problems.engine.loops.state.progress import Progress

WARM_UP = 10
"""Steps of a run before its speed is measured: the first ones start workers and allocate memory."""
PLANS = 50
"""Plans in a training, beside those after validations."""
KEEP = 0.8
"""Weight of the speed before the last plan in the speed that the next one takes."""
VALIDATION_SHARE = 0.2
"""Largest share of the time that validations may take."""
REPORT_SECONDS = 5.0
"""Time that stages 3 and 4 take beside the tests themselves: imports, plots, the page."""


@dataclasses.dataclass
class Budget:
    """The time that a run may take, of which its training gets what the other stages leave.

    Args:
        seconds: of the whole run.
        started: when it began, by ``time.monotonic()``.
        tests: passes over a set of the size of the validation set that the tests after the training amount to.
        after: further seconds after the training.
    """

    seconds: float
    started: float
    tests: float = 0.0
    after: float = 0.0
    intervals: tuple[str, ...] = dataclasses.field(default=(), init=False)
    """Keys of ``train`` that follow the length: those of ``eval_step`` and ``save_step`` that are auto."""
    earlier: float = dataclasses.field(default=0.0, init=False)
    """Seconds that interrupted runs of this training have taken."""
    evaluation: float = dataclasses.field(default=0.0, init=False)
    """Seconds of one validation."""
    features: float = dataclasses.field(default=0.0, init=False)
    """Seconds that computing the features of the validation set took."""
    mark: tuple[int, float] | None = dataclasses.field(default=None, init=False)
    """The step and the time of the last plan."""
    taken: tuple[float, float] = dataclasses.field(default=(0.0, 0.0), init=False)
    """Steps, and the seconds that they took without validations; earlier ones weigh less."""
    is_warm: bool = dataclasses.field(default=False, init=False)
    validating: float = dataclasses.field(default=0.0, init=False)
    """Seconds of validations since the last plan."""

    def begin(self, progress: Progress) -> None:
        """Take the position of a training that begins or continues."""
        self.earlier, self.mark = progress.seconds, None

    def used(self) -> float:
        """Return the seconds used so far, by interrupted runs of this training too."""
        return self.earlier + time.monotonic() - self.started

    def left(self) -> float:
        """Return the seconds left for the training, its last validation included."""
        return self.available - self.used()

    @property
    def available(self) -> float:
        """Seconds of the run up to the end of its training: those of the tests and of the report are left out."""
        return self.seconds - self.after - self.tests * (self.evaluation + self.features)

    def validated(self, seconds: float) -> None:
        """Take the time of a validation."""
        self.evaluation, self.validating = seconds, self.validating + seconds

    def most_validations(self, wanted: int) -> int:
        """Return how many validations the time allows, at most ``wanted`` and at least one."""
        affordable = VALIDATION_SHARE * self.available / self.evaluation if self.evaluation else wanted
        return int(min(max(affordable, 1), wanted))

    def is_due(self, progress: Progress, total_steps: int) -> bool:
        """Return True if the length is to be planned again: after a validation, and now and then between them."""
        if self.mark is None:
            self.mark = progress.step, time.monotonic()
        steps, is_planned = progress.step - self.mark[0], self.taken[0] > 0
        interval = max(WARM_UP, total_steps // PLANS) if is_planned else WARM_UP
        return steps >= interval or (steps > 0 and progress.validated == progress.step)

    def total_steps(self, progress: Progress, wanted: int) -> int | None:
        """Return the steps of the whole training that end in time at the speed of late; None if that is unknown.

        Args:
            wanted: validations of the whole training.
        """
        now, step = time.monotonic(), progress.step
        steps, seconds = step - self.mark[0], now - self.mark[1] - self.validating
        self.mark, self.validating, is_warm = (step, now), 0.0, self.is_warm
        self.is_warm = True
        if not is_warm:
            return None
        self.taken = KEEP * self.taken[0] + steps, KEEP * self.taken[1] + seconds
        step_seconds, left = self.taken[1] / self.taken[0], self.left() - self.evaluation
        interval = (step + left / step_seconds) / self.most_validations(wanted)
        return step + max(0, int(left / (step_seconds + self.evaluation / max(1.0, interval))))
