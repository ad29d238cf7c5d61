"""The choice of a setting or a checkpoint on the validation set."""

from __future__ import annotations

import math

import pytest

from dataset.storage.files import read_json
from problems.engine.stages.testing.choice import Choice


@pytest.mark.parametrize("better", ["higher", "lower"])
def test_a_candidate_whose_metric_is_not_finite_is_not_chosen(tmp_path, better):
    choice = Choice.of_settings(tmp_path, ["diverged", "whole", "without"], "digest")
    values = {"diverged": math.nan, "whole": 0.5}
    valid = {name: {"valid": {"wer": value}, "seconds": 1.0} for name, value in values.items()}
    choice.write(valid | {"without": {"valid": {}, "seconds": 1.0}}, "wer", better)
    assert read_json(choice.path)["chosen"] == "whole"
