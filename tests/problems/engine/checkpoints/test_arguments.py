"""Arguments of every kind come back as they were; anything else is refused by name."""

from __future__ import annotations

import pandas
import pytest
import torch

from problems.engine.checkpoints.arguments import check_arguments, load_arguments, save_arguments
from problems.engine.runtime.errors import CheckpointError, ConfigError


def test_arguments_of_every_kind_come_back(tmp_path):
    table = pandas.DataFrame({"id": ["0012", "null", ""], "text": ["a,b", 'c"d', "e\r\nf"]})
    arguments = {"plain": {"a": [1, 2.5, None, "x"]}, "nothing": None, "trials": table}
    save_arguments(tmp_path, arguments)
    back = load_arguments(tmp_path, load_encoder=lambda folder: None)
    assert back["plain"] == arguments["plain"] and back["nothing"] is None
    pandas.testing.assert_frame_equal(back["trials"], table)


@pytest.mark.parametrize("value", [torch.zeros(1), {3: "a"}, float("nan"), open, {"a": {1, 2}}])
def test_an_argument_that_cannot_be_saved_is_refused_by_name(value):
    with pytest.raises(ConfigError, match="'odd'"):
        check_arguments({"fine": 1, "odd": value})


def test_a_folder_that_is_not_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="not part of a checkpoint"):
        load_arguments(tmp_path, load_encoder=lambda folder: None)
