"""Settings of stage 2 from the command line to what they do."""

from __future__ import annotations

import json

import pytest
import torch

from problems.asr import ASR
from problems.engine.cli.main import execute
from problems.engine.loops.base import Callback
from problems.engine.loops.history import read_history
from problems.engine.loops.train import TrainLoop


def state(folder, step=8):
    return torch.load(folder / "train" / f"step_{step:08}" / "training.pt", weights_only=True)


def run(options, *more, problem=ASR, code=0):
    assert execute(problem(), ["run", *options, "--stop=2", *more]) == code


def test_a_group_in_one_line(tiny, tmp_path):
    run(tiny, "--build_optimizer.groups.downstream.output.lr=0.5")
    groups = state(tmp_path / "run")["optimizers"][0]["optimizer"]["param_groups"]
    assert sorted((g["lr"], len(g["params"])) for g in groups)[-1] == (0.5, 2)


def test_several_optimizers_with_schedules_of_their_own(tiny, tmp_path):
    several = (
        "{low: {updated_modules: [downstream.layers], conf: {lr: 0.01}, scheduler: {name: warmup_linear}},"
        " high: {name: SGD, updated_modules: [downstream.output], step_per_update: 2}}"
    )
    run(tiny, f"--build_optimizer.optimizers={several}")
    low, high = state(tmp_path / "run")["optimizers"]
    assert low["scheduler"]["last_epoch"] == 8 and high["scheduler"] is None
    (row,) = [r for r in read_history(tmp_path / "run" / "train") if r["step"] == 6 and r["split"] == "train"]
    assert row["lr_high"] == 0.01 and 0 < row["lr_low"] < 0.01


def test_two_optimizers_must_not_move_the_same(tiny, capsys):
    run(tiny, "--build_optimizer.optimizers={a: {updated_modules: [downstream]}, b: {}}", code=2)
    assert "build_optimizer.optimizers.b: downstream." in capsys.readouterr().err


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_from_the_command_line(tiny, tmp_path, precision):
    linear = [*(o for o in tiny if "build_downstream" not in o), "--build_downstream.name=frame_linear"]
    run(linear, f"--train.precision={precision}", f"--evaluate.precision={precision}", "--stop=3")
    assert (state(tmp_path / "run")["scaler"] is not None) == (precision == "fp16")
    assert list((tmp_path / "run" / "evaluate").rglob("result.json"))


def test_a_compiled_model_learns_what_a_plain_one_learns(tiny, tmp_path):
    run(tiny)
    plain = (tmp_path / "run" / "train" / "step_00000008" / "model" / "weights.safetensors").read_bytes()
    run([o for o in tiny if "target_dir" not in o], f"--target_dir={tmp_path / 'two'}", "--train.compile=eager")
    assert (tmp_path / "two" / "train" / "step_00000008" / "model" / "weights.safetensors").read_bytes() == plain


def test_a_profile_is_a_trace_and_a_table(tiny, tmp_path):
    run(tiny, "--train.profile=2", "--train.total_steps=13")
    folder = tmp_path / "run" / "train" / "profile"
    events = json.loads((folder / "rank0.json").read_text())["traceEvents"]
    assert any("linear" in e.get("name", "") or "mm" in e.get("name", "") for e in events)
    assert "Self CPU" in (folder / "rank0.txt").read_text()


def test_deterministic_mode_is_on_while_training_only(tiny):
    seen = []

    class Watched(ASR):
        callbacks = (type("Look", (Callback,), {"on_fit_start": lambda self, loop: seen.append(
            torch.are_deterministic_algorithms_enabled())})(),)  # fmt: skip

    run(tiny, "--train.deterministic=true", problem=Watched)
    assert seen == [True] and not torch.are_deterministic_algorithms_enabled()


def test_batch_norm_over_processes_wants_gpus(tiny, capsys):
    run(tiny, "--train.sync_batchnorm=true", code=2)
    assert "train.sync_batchnorm: needs GPUs, but the device is cpu" in capsys.readouterr().err


def test_a_loop_and_callbacks_of_ones_own_and_their_change_is_seen(tiny, tmp_path, capsys):
    epochs = []

    class Note(Callback):
        def on_stage_end(self, loop, stage, metrics):
            epochs.append(str(stage))

        def on_evaluate_start(self, loop, stage):
            epochs.append(f"evaluate {stage}")

    class Slow(TrainLoop):
        def check_gradients(self, norms):
            return super().check_gradients(norms)

    class Hooked(ASR):
        callbacks = (Note(),)
        train_loop = Slow

    run(tiny, problem=Hooked)
    assert epochs.count("evaluate valid") == 3  # one batch before training, steps 4 and 8
    assert epochs.count("valid") == 2 and epochs.count("train") == 2
    Hooked.train_loop = TrainLoop
    run(tiny, "--train.total_steps=10", problem=Hooked, code=2)
    assert "the code of train_loop changed" in capsys.readouterr().err


def test_the_debug_preset_goes_through_every_stage_on_two_batches(tiny, tmp_path):
    options = [o for o in tiny if not o.startswith("--train.")]
    assert execute(ASR(), ["run", *options, "--config", "debug"]) == 0
    rows = read_history(tmp_path / "run" / "train")
    assert max(r["step"] for r in rows) == 2
    (result,) = (tmp_path / "run" / "evaluate").rglob("result.json")
    assert json.loads(result.read_text())["only_batches"] == 2


def test_a_limit_below_zero_is_refused(tiny, capsys):
    run(tiny, "--train.gradient_clipping=-1", code=2)
    assert "train.gradient_clipping: must be at least 0" in capsys.readouterr().err


def test_wrong_rules_are_told_with_the_rest(tiny, capsys):
    run(tiny, "--train.best_rules=[{metric: cer}]", "--train.gradient_norm_type=infinite", code=2)
    err = capsys.readouterr().err
    assert "best_rules[0]: expected metric, higher_better and keep" in err
    assert "gradient_norm_type: expected a number or inf" in err
