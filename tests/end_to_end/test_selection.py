"""Which checkpoints are kept, which is the best, when validation is due, and the mean of several."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from problems.asr import ASR
from problems.engine.checkpoints.averaging import mean_of
from problems.engine.checkpoints.store import steps_in
from problems.engine.cli.main import execute
from problems.engine.loops.history import read_history
from problems.engine.loops.progress import Progress
from tests.parts.least_squares import loop_of


def best(folder):
    return json.loads((folder / "best.json").read_text())


def steps(folder):
    return [p.name.removeprefix("step_0000000") for p in steps_in(folder)]


def test_each_rule_keeps_its_own_and_the_first_is_the_primary(tmp_path):
    values = iter([(0.5, 1.0), (0.3, 3.0), (0.4, 2.0), (0.6, 9.0), (0.2, 0.0)])

    def validate():
        wer, score = next(values)
        return {"loss": wer, "score": score}

    rules = [{"metric": "score", "higher_better": True, "keep": 2}]
    loop = loop_of(
        tmp_path, validate=validate, total_steps=5, eval_step=1, save_step=1, keep_num_ckpts=1, keep_best_ckpts=2,
        best_rules=rules,
    )  # fmt: skip
    loop.fit()
    assert best(tmp_path) == {
        "loss min": ["step_00000005", "step_00000002"],
        "score max": ["step_00000004", "step_00000002"],
    }
    assert steps(tmp_path) == ["2", "4", "5"]


@pytest.mark.parametrize(
    ("values", "higher", "threshold", "relative", "waited"),
    [
        ([1.0, 0.95, 0.8], False, 0.1, False, 0),
        ([1.0, 0.95, 0.92], False, 0.1, False, 2),
        ([100.0, 95.0, 94.0], False, 0.1, True, 2),
        ([100.0, 89.0], False, 0.1, True, 0),
        ([-3.0, -2.5], True, 0.1, True, 0),  # better, though negative
        ([float("nan"), 5.0], False, 0.0, False, 0),
        ([float("inf"), 3.0, 2.0], False, 0.1, True, 0),
        ([5.0, float("nan")], False, 0.0, False, 1),
    ],
)
def test_what_counts_as_better(values, higher, threshold, relative, waited):
    progress = Progress()
    for value in values:
        progress.validate(value, higher, threshold, relative)
    assert progress.waited == waited


def test_validation_by_epochs(tmp_path):
    loop_of(tmp_path, batch=10, total_steps=20, eval_step=None, valid_per_epochs=2).fit()
    assert [r["step"] for r in read_history(tmp_path) if r["split"] == "valid"] == [8, 16, 20]  # 4 batches an epoch


def test_checkpoints_by_the_clock(tmp_path):
    loop_of(tmp_path, total_steps=3, save_step=1000, save_minutes=0.0, eval_step=1000).fit()
    assert steps(tmp_path) == ["1", "2", "3"]


def test_a_schedule_that_goes_by_the_metric_is_stepped_at_validations(tmp_path):
    from problems.engine.optim.lr_schedules import NewBob
    from problems.engine.optim.scheduled_optimizer import OptimScheduler

    def made(task):
        optimizer = torch.optim.SGD(task.parameters(), lr=0.4)
        return [OptimScheduler(optimizer, NewBob(optimizer), "validation")]

    loop = loop_of(tmp_path, optimizers=made, total_steps=6, eval_step=2)
    loop.fit()
    assert loop.optimizers[0].optimizer.param_groups[0]["lr"] == pytest.approx(0.1)  # 1.0 three times: two halvings


def test_a_schedule_by_epochs_is_stepped_at_their_ends(tmp_path):
    from problems.engine.optim.scheduled_optimizer import OptimScheduler

    def made(task):
        optimizer = torch.optim.SGD(task.parameters(), lr=1.0)
        return [OptimScheduler(optimizer, torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5), "epoch")]

    loop = loop_of(tmp_path, optimizers=made, total_steps=12, batch=10)
    loop.fit()
    assert loop.optimizers[0].optimizer.param_groups[0]["lr"] == 0.125  # three epochs of 4 batches


def test_the_mean_of_weights(tmp_path):
    for number, value in enumerate((1.0, 2.0, 6.0)):
        tensors = {"w": torch.full((2,), value), "half": torch.full((2,), value).half(), "n": torch.tensor(number)}
        save_file(tensors, tmp_path / f"{number}.safetensors")
    mean = mean_of([tmp_path / f"{number}.safetensors" for number in range(3)])
    assert torch.equal(mean["w"], torch.full((2,), 3.0)) and mean["half"].dtype == torch.float16
    assert int(mean["n"]) == 0  # a count is the best checkpoint's


def test_an_average_is_a_checkpoint_that_can_be_tested(tiny, tmp_path, capsys):
    folder = tmp_path / "run"
    options = ["run", *tiny, "--train.eval_step=2", "--train.save_step=2", "--train.keep_best_ckpts=3"]
    execute(ASR(), options)
    assert execute(ASR(), [*options, "--test_ckpt_dir=average", "--start=3"]) == 1
    assert "give --train.average best" in capsys.readouterr().err
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
