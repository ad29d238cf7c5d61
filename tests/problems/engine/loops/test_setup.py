"""Settings of stage 2 from the command line to what they do."""

from __future__ import annotations

import json

import pytest
import torch

from problems.asr import ASR
from problems.engine.cli.main import execute
from problems.engine.loops.base import Callback
from problems.engine.loops.train import TrainLoop
from problems.engine.report.history import read_history


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

    class Look(Callback):
        def on_fit_start(self, loop):
            seen.append(torch.are_deterministic_algorithms_enabled())

    class Watched(ASR):
        callbacks = (Look(),)

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


def test_a_rule_for_a_metric_that_does_not_exist_is_refused_before_the_first_step(tiny, tmp_path, capsys):
    run(tiny, "--train.best_rules=[{metric: wer, higher_better: false}, {metric: cerr, higher_better: false}]", code=2)
    error = "train.best_rules[1].metric: validation has no metric 'cerr' (did you mean 'cer'?)"
    assert error in capsys.readouterr().err
    assert not (tmp_path / "run" / "train" / "metrics.jsonl").exists()


def test_such_a_rule_is_refused_before_the_first_step_when_a_training_continues(tiny, tmp_path, capsys):
    run(tiny)
    rows = read_history(tmp_path / "run" / "train")
    run(tiny, "--train.total_steps=12", "--train.best_rules=[{metric: cerr, higher_better: false}]", code=2)
    assert "train.best_rules[0].metric: validation has no metric 'cerr'" in capsys.readouterr().err
    assert read_history(tmp_path / "run" / "train") == rows


def weights_of(folder, step):
    return (folder / "train" / f"step_{step:08}" / "model" / "weights.safetensors").read_bytes()


def test_resume_ckpt_dir_takes_up_the_whole_state(tiny, tmp_path):
    """A training that continues another one's checkpoint in a folder of its own ends with that one's weights."""
    run(tiny, "--train.keep_num_ckpts=2")
    resume = f"--train.resume_ckpt_dir={tmp_path / 'run' / 'train' / 'step_00000004'}"
    run(tiny, resume, f"--target_dir={tmp_path / 'other'}")
    assert weights_of(tmp_path / "other", 8) == weights_of(tmp_path / "run", 8)
    assert [r["step"] for r in read_history(tmp_path / "other" / "train") if r["split"] == "train"] == [6, 8]
    run(tiny, resume, f"--target_dir={tmp_path / 'short'}", "--train.total_steps=4")
    assert weights_of(tmp_path / "short", 4) == weights_of(tmp_path / "run", 4), "nothing is left to train"


def test_init_ckpt_dir_takes_the_weights_alone(tiny, tmp_path, capsys):
    run(tiny)
    average = tmp_path / "run" / "train" / "average"
    run(tiny, "--train.average=best")
    init = f"--train.init_ckpt_dir={average}"
    run(tiny, init, f"--target_dir={tmp_path / 'other'}", "--train.total_steps=1", "--build_optimizer.conf.lr=0")
    assert weights_of(tmp_path / "other", 1) == (average / "model" / "weights.safetensors").read_bytes()
    capsys.readouterr()
    assert execute(ASR(), ["run", *tiny, f"--train.resume_ckpt_dir={average}", f"--target_dir={tmp_path / 'no'}"]) == 1
    assert "has no training.pt; to start from its weights alone, use --train.init_ckpt_dir" in capsys.readouterr().err
    run(tiny, init, init.replace("init", "resume"), code=2)
    assert "train: give one of init_ckpt_dir and resume_ckpt_dir" in capsys.readouterr().err


def test_a_state_that_does_not_fit_is_refused(tiny, tmp_path, capsys):
    run(tiny)
    resume = f"--train.resume_ckpt_dir={tmp_path / 'run' / 'train' / 'step_00000004'}"

    class Grouped(ASR):
        def build_optimizer(self, build_optimizer, parameters):
            return torch.optim.SGD([{"params": [p]} for p in parameters], lr=0.01)

    assert execute(Grouped(), ["run", *tiny, resume, f"--target_dir={tmp_path / 'no'}", "--stop=2"]) == 1
    err = capsys.readouterr().err
    assert "does not fit this training" in err and "--train.init_ckpt_dir" in err


def test_without_a_validation_metric_the_last_checkpoint_is_the_best(tiny, tmp_path, caplog):
    caplog.set_level("INFO")
    run(tiny, "--train.valid_metric=null", "--stop=3")
    assert "no validation: the last checkpoint counts as the best" in caplog.text
    assert {r["split"] for r in read_history(tmp_path / "run" / "train")} == {"train"}
    assert [p.name for p in (tmp_path / "run" / "evaluate").iterdir()] == ["step_00000008"]


@pytest.mark.parametrize(
    ("option", "key"),
    [
        ("--train.patience=2", "train.patience"),
        ("--train.average=best", "train.average"),
        ("--train.best_rules=[{metric: cer, higher_better: false}]", "train.best_rules"),
    ],
)
def test_what_needs_a_validation_is_refused_without_one(tiny, capsys, option, key):
    run(tiny, "--train.valid_metric=null", option, code=2)
    assert f"{key}: needs a validation metric" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        ["--train.use_scheduler=true", "--build_scheduler.name=newbob", "--build_scheduler.conf={}"],
        ["--build_optimizer.optimizers={a: {scheduler: {name: newbob}}}"],
    ],
)
def test_a_schedule_by_a_metric_is_refused_without_validation_before_any_work(tiny, tmp_path, capsys, options):
    run(tiny, "--train.valid_metric=null", *options, code=2)
    assert "build_scheduler: newbob needs validations" in capsys.readouterr().err
    assert not (tmp_path / "run" / "data").exists()


def test_one_batch_is_validated_before_training(tiny, tmp_path, capsys):
    """A validation that fails ends the run before the first step."""
    forward_modes = []

    class Failing(ASR):
        def build_task(self, build_task, model, encoder):
            task = super().build_task(build_task, model, encoder)
            forward = task.forward

            def failing(mode, **batch):
                forward_modes.append(str(mode))
                if mode == "valid":
                    raise ZeroDivisionError("in validation")
                return forward(mode, **batch)

            task.forward = failing
            return task

    assert execute(Failing(), ["run", *tiny, "--stop=2"]) == 1
    assert forward_modes == ["valid"] and "in validation" in capsys.readouterr().err


def test_a_rule_without_keep_keeps_one(tiny, tmp_path):
    run(tiny, "--train.best_rules=[{metric: cer, higher_better: false}]", "--train.eval_step=2")
    best = json.loads((tmp_path / "run" / "train" / "best.json").read_text())
    assert len(best["cer min"]) == 1


def test_an_iterable_dataset_is_refused_with_a_message(tiny, capsys):
    class Endless(torch.utils.data.IterableDataset):
        def __init__(self, dataset):
            self.seconds = dataset.seconds

        def __iter__(self):
            yield from ()

    class Streamed(ASR):
        def build_dataset(self, *args, **kwargs):
            return Endless(super().build_dataset(*args, **kwargs))

    assert execute(Streamed(), ["run", *tiny, "--stop=2"]) != 0
    err = capsys.readouterr().err
    assert "Endless is an IterableDataset" in err and "Traceback" not in err
