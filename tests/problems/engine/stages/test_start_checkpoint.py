"""A training that starts from, or continues, a checkpoint of another training."""

from __future__ import annotations

import json

import pytest

from problems.asr import ASR
from problems.engine.cli.main import execute


@pytest.fixture
def trained(tiny, tmp_path, capsys):
    """Options of a training of eight steps that is done in ``tmp_path / "run"``."""
    assert execute(ASR(), ["run", *tiny, "--stop=2"]) == 0
    capsys.readouterr()
    return tiny


def weights_of(train_dir, step):
    return (train_dir / f"step_{step:08}" / "model" / "weights.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--train.ema=0.9"], "train.ema: null -> 0.9"),
        (["--train.precision=fp16"], 'train.precision: "fp32" -> "fp16"'),
        (["--train.use_scheduler=true"], "train.use_scheduler: false -> true"),
        (["--build_optimizer.conf.lr=0.02"], "build_optimizer.conf.lr: 0.01 -> 0.02"),
        (["--build_batch_sampler.train.batch_size=3"], "build_batch_sampler.train.batch_size: 4 -> 3"),
    ],
)
def test_other_settings_than_the_continued_checkpoint_s_are_refused_before_any_work(
    trained, tmp_path, capsys, options, line
):
    resume = f"--train.resume_ckpt_dir={tmp_path / 'run' / 'train' / 'step_00000004'}"
    assert execute(ASR(), ["run", *trained, resume, f"--target_dir={tmp_path / 'other'}", *options]) == 2
    error = capsys.readouterr().err
    assert line in error and "--train.init_ckpt_dir" in error and "Traceback" not in error
    assert not (tmp_path / "other" / "data").exists()


def test_an_average_to_continue_is_refused_before_anything_is_moved(trained, tmp_path, capsys):
    assert execute(ASR(), ["run", *trained, "--stop=2", "--train.average=best"]) == 0
    average = f"--train.resume_ckpt_dir={tmp_path / 'run' / 'train' / 'average'}"
    capsys.readouterr()
    assert execute(ASR(), ["run", *trained, "--start=2", "--stop=2", "--fresh", average]) == 1
    assert "has no training.pt" in capsys.readouterr().err
    assert not (tmp_path / "run" / "train.1").exists()


@pytest.mark.parametrize("key", ["init_ckpt_dir", "resume_ckpt_dir"])
def test_a_checkpoint_that_does_not_exist_is_refused_before_anything_is_moved(trained, tmp_path, capsys, key):
    assert execute(ASR(), ["run", *trained, "--start=2", "--fresh", f"--train.{key}={tmp_path / 'gone'}"]) == 1
    error = capsys.readouterr().err
    assert f"train.{key}: " in error and "gone" in error
    assert (tmp_path / "run" / "train").exists() and not (tmp_path / "run" / "train.1").exists()
    assert execute(ASR(), ["run", *trained, f"--train.{key}=gone", f"--target_dir={tmp_path / 'other'}"]) == 1
    assert not (tmp_path / "other" / "data").exists()


def test_a_checkpoint_in_a_training_that_is_moved_aside_is_followed(trained, tmp_path):
    train = tmp_path / "run" / "train"
    options = [
        f"--train.init_ckpt_dir={train / 'step_00000004'}",
        "--train.total_steps=1",
        "--build_optimizer.conf.lr=0",
    ]
    assert execute(ASR(), ["run", *trained, "--start=2", "--stop=2", "--fresh", *options]) == 0
    assert weights_of(train, 1) == weights_of(tmp_path / "run" / "train.1", 4)


def test_a_training_folder_stands_for_its_best_checkpoint(trained, tmp_path):
    options = [f"--train.init_ckpt_dir={tmp_path / 'run' / 'train'}", "--train.total_steps=1"]
    options += ["--build_optimizer.conf.lr=0", "--stop=2", f"--target_dir={tmp_path / 'other'}"]
    assert execute(ASR(), ["run", *trained, *options]) == 0
    (best,) = json.loads((tmp_path / "run" / "train" / "best.json").read_text())["wer min"]
    assert weights_of(tmp_path / "other" / "train", 1) == weights_of(tmp_path / "run" / "train", int(best[5:]))


def test_another_start_makes_a_training_stale_and_none_does_not(trained, tmp_path, capsys):
    other = ["run", *trained, f"--target_dir={tmp_path / 'other'}", "--stop=2"]
    start = f"--train.init_ckpt_dir={tmp_path / 'run' / 'train' / 'step_0000000'}"
    assert execute(ASR(), [*other, start + "4"]) == 0
    assert execute(ASR(), other) == 0
    assert "every stage is done and fresh" in capsys.readouterr().err
    assert execute(ASR(), [*other, start + "8"]) == 2
    assert "train.init_ckpt_dir: " in capsys.readouterr().err
