"""The time of each stage and the weights of the layers, if they are known."""

from __future__ import annotations

from problems.engine.report.figures.run import layers, times
from problems.engine.report.read import Run


def test_stages_that_took_time_are_shown_and_those_that_are_not_done_say_so():
    stage = {"number": "2", "name": "train", "status": "failed", "seconds": 63.0}
    other = {"number": "3", "name": "evaluate checkpoints", "status": "", "seconds": None}
    assert times(Run(stages=[stage, other])).rows == [("2 train (failed)", 63.0, "1 min 03 s")]
    assert times(Run(stages=[other])) is None


def test_the_weights_of_the_layers():
    assert layers(Run(layers={"0": 0.25, "1": 0.75})).rows[1] == ("layer 1", 0.75, "0.75")
    assert layers(Run()) is None
