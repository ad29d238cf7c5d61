"""The average of the best checkpoints, from the command line to its test."""

from __future__ import annotations

import json

import torch
from safetensors.torch import load_file

from problems.asr import ASR
from problems.engine.cli.main import execute


def best(folder):
    return json.loads((folder / "best.json").read_text())


def test_an_average_is_a_checkpoint_that_can_be_tested(tiny, tmp_path, capsys):
    folder = tmp_path / "run"
    options = ["run", *tiny, "--train.eval_step=2", "--train.save_step=2", "--train.keep_best_ckpts=3"]
    execute(ASR(), options)
    assert execute(ASR(), [*options, "--test_ckpt_dir=average", "--start=3"]) == 1
    assert "add --train.average best" in capsys.readouterr().err
    execute(ASR(), [*options, "--test_ckpt_dir=average", "--train.average=best"])
    made = json.loads((folder / "train" / "average" / "average.json").read_text())
    names = made["of"]
    assert 0 < made["metrics"]["loss"] < 100
    assert names == next(iter(best(folder / "train").values())) and len(names) == 3
    weights = [load_file(folder / "train" / name / "model" / "weights.safetensors") for name in names]
    mean = load_file(folder / "train" / "average" / "model" / "weights.safetensors")
    for name, value in mean.items():
        torch.testing.assert_close(value, torch.stack([w[name] for w in weights]).mean(dim=0))
    assert json.loads((folder / "evaluate" / "average" / "test" / "result.json").read_text())["metrics"]["utterances"]
    capsys.readouterr()
    execute(
        ASR(), ["predict", "--ckpt", str(folder / "train" / "average"), str(next(tmp_path.parent.rglob("u000.wav")))]
    )
    assert "u000.wav\t" in capsys.readouterr().out
