"""The mean of the weights of several checkpoints."""

from __future__ import annotations

import torch
from safetensors.torch import save_file

from problems.engine.checkpoints.averaging import mean_of


def test_the_mean_of_weights(tmp_path):
    for number, value in enumerate((1.0, 2.0, 6.0)):
        tensors = {"w": torch.full((2,), value), "half": torch.full((2,), value).half(), "n": torch.tensor(number)}
        save_file(tensors, tmp_path / f"{number}.safetensors")
    mean = mean_of([tmp_path / f"{number}.safetensors" for number in range(3)])
    assert torch.equal(mean["w"], torch.full((2,), 3.0)) and mean["half"].dtype == torch.float16
    assert int(mean["n"]) == 0  # a count is the best checkpoint's
