"""Sample utterances: the references and hypotheses of the same few at every validation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from problems.engine.loops.base import Callback
from tasks.base import Mode
from tasks.posteriors import FirstIds

if TYPE_CHECKING:
    from problems.engine.loops.base import Loop

SHOWN = ("text", "label", "number")
"""The kinds of predictions that can be read as a line."""
LONGEST = 500
"""Characters of a text that are shown."""


class Samples(Callback):
    """The first utterances of the validation set in the order of their ids.

    Args:
        count: how many.
    """

    def __init__(self, count: int):
        self.count = count
        self.rows: list[dict[str, str]] = []
        """``id, reference, hypothesis`` of each, and perhaps ``posteriors``, at the last validation; none if the task
        predicts no lines."""

    def on_evaluate_start(self, loop: Loop, mode: Mode) -> None:
        """Ask for pictures of the samples' posteriors."""
        loop.task.pictured = FirstIds(self.count)

    def on_evaluate_end(self, loop: Loop, mode: Mode, records: Mapping[str, list[Any]]) -> None:
        """Take the samples of a validation."""
        loop.task.pictured = None
        if loop.task.predicts in SHOWN and {"reference", "hypothesis"} <= records.keys():
            pictures = records.get("posteriors") or [""] * len(records["id"])
            columns = (map(str, records["id"]), records["reference"], records["hypothesis"], pictures)
            self.rows = [
                {"id": id, "reference": str(reference)[:LONGEST], "hypothesis": str(hypothesis)[:LONGEST]}
                | ({"posteriors": picture} if picture else {})
                for id, reference, hypothesis, picture in sorted(zip(*columns))[: self.count]
            ]
